package describe

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"optimist/internal/api"
)

func deployment(ctx context.Context, c Cluster, d *appsv1.Deployment) rows {
	s, rolling := d.Status, ""
	if r := d.Spec.Strategy.RollingUpdate; r != nil && r.MaxUnavailable != nil && r.MaxSurge != nil {
		rolling = fmt.Sprintf("%s max unavailable, %s max surge", r.MaxUnavailable, r.MaxSurge)
	}
	return slices.Concat(
		rows{"Name", d.Name, "Namespace", d.Namespace, "CreationTimestamp", d.CreationTimestamp}, marks(d),
		rows{"Selector", metav1.FormatLabelSelector(d.Spec.Selector), "Replicas", fmt.Sprintf("%d desired | %d updated | %d total | %d available | %d unavailable",
			valueOr(d.Spec.Replicas, 1), s.UpdatedReplicas, s.Replicas, s.AvailableReplicas, s.UnavailableReplicas),
			"StrategyType", d.Spec.Strategy.Type, "MinReadySeconds", d.Spec.MinReadySeconds, "RollingUpdateStrategy?", rolling,
			"Pod Template", template(&d.Spec.Template),
			"Conditions?", table("Type\tStatus\tReason", s.Conditions, func(c appsv1.DeploymentCondition) []string {
				return []string{string(c.Type) + " ", string(c.Status), c.Reason}
			})},
		c.replicaSets(ctx, d))
}

const revisionAnnotation = "deployment.kubernetes.io/revision"

// replicaSets names the deployment's own: the one with its revision is the new one, the others are old.
func (c Cluster) replicaSets(ctx context.Context, d *appsv1.Deployment) rows {
	all, err := api.ReplicaSets.List(ctx, c, d.Namespace, api.ListOptions{})
	if err != nil {
		return nil
	}
	slices.SortFunc(all, func(a, b *appsv1.ReplicaSet) int {
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Name, b.Name))
	})
	names := map[bool][]string{}
	for _, rs := range all {
		if metav1.IsControlledBy(rs, d) {
			current := rs.Annotations[revisionAnnotation] == d.Annotations[revisionAnnotation]
			names[current] = append(names[current], fmt.Sprintf("%s (%d/%d replicas created)", rs.Name, rs.Status.Replicas, valueOr(rs.Spec.Replicas, 1)))
		}
	}
	return rows{"OldReplicaSets", names[false], "NewReplicaSet", names[true]}
}

func replicaSet(ctx context.Context, c Cluster, rs *appsv1.ReplicaSet) rows {
	return slices.Concat(
		rows{"Name", rs.Name, "Namespace", rs.Namespace, "Selector", metav1.FormatLabelSelector(rs.Spec.Selector)}, marks(rs),
		rows{"Controlled By?", controller(rs), "Replicas", fmt.Sprintf("%d current / %d desired", rs.Status.Replicas, valueOr(rs.Spec.Replicas, 1)),
			"Pods Status", c.podsOf(ctx, rs), "Pod Template", template(&rs.Spec.Template),
			"Conditions?", table("Type\tStatus\tReason", rs.Status.Conditions, func(c appsv1.ReplicaSetCondition) []string {
				return []string{string(c.Type) + " ", string(c.Status), c.Reason}
			})})
}

func (c Cluster) podsOf(ctx context.Context, rs *appsv1.ReplicaSet) string {
	selector, err := metav1.LabelSelectorAsSelector(rs.Spec.Selector)
	if err != nil {
		return "error in the selector: " + err.Error()
	}
	pods, err := api.Pods.List(ctx, c, rs.Namespace, api.ListOptions{Selector: selector})
	if err != nil {
		return "error in fetching pods: " + err.Error()
	}
	count := map[corev1.PodPhase]int{}
	for _, pod := range pods {
		if metav1.IsControlledBy(pod, rs) {
			count[pod.Status.Phase]++
		}
	}
	return fmt.Sprintf("%d Running / %d Waiting / %d Succeeded / %d Failed",
		count[corev1.PodRunning], count[corev1.PodPending], count[corev1.PodSucceeded], count[corev1.PodFailed])
}

// Template describes a pod template by itself, for `rollout history --revision`.
func Template(t *corev1.PodTemplateSpec) string { return rows{"Pod Template", template(t)}.String() }

func template(t *corev1.PodTemplateSpec) rows {
	m := marks(t)
	m[2] = "Annotations?" // here kubectl does not say that there are none
	return slices.Concat(m, rows{"Service Account?", t.Spec.ServiceAccountName, "Init Containers?", containers(t.Spec.InitContainers, nil),
		"Containers?", containers(t.Spec.Containers, nil), "Volumes", volumes(t.Spec.Volumes)}, placement(t.Spec, "\n"))
}
