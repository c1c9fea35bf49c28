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

func deployment(ctx context.Context, p *page, d *appsv1.Deployment) {
	p.rows("Name", d.Name, "Namespace", d.Namespace, "CreationTimestamp", d.CreationTimestamp)
	p.marks(d.ObjectMeta)
	s := d.Status
	p.rows("Selector", metav1.FormatLabelSelector(d.Spec.Selector), "Replicas", fmt.Sprintf("%d desired | %d updated | %d total | %d available | %d unavailable",
		valueOr(d.Spec.Replicas, 1), s.UpdatedReplicas, s.Replicas, s.AvailableReplicas, s.UnavailableReplicas),
		"StrategyType", d.Spec.Strategy.Type, "MinReadySeconds", d.Spec.MinReadySeconds)
	if r := d.Spec.Strategy.RollingUpdate; r != nil && r.MaxUnavailable != nil && r.MaxSurge != nil {
		p.rows("RollingUpdateStrategy", fmt.Sprintf("%s max unavailable, %s max surge", r.MaxUnavailable, r.MaxSurge))
	}
	p.template(&d.Spec.Template)
	conditions(p, s.Conditions, func(c appsv1.DeploymentCondition) []string {
		return []string{string(c.Type) + " ", string(c.Status), c.Reason}
	})
	p.replicaSets(ctx, d)
}

func conditions[T any](p *page, all []T, row func(T) []string) {
	if len(all) > 0 {
		table(p, "Conditions:", "Type\tStatus\tReason", all, row)
	}
}

const revisionAnnotation = "deployment.kubernetes.io/revision"

// replicaSets names the deployment's own: the one with its revision is the new one, the others are old.
func (p *page) replicaSets(ctx context.Context, d *appsv1.Deployment) {
	all, err := api.ReplicaSets.List(ctx, p, d.Namespace, api.ListOptions{})
	if err != nil {
		return
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
	p.rows("OldReplicaSets", names[false], "NewReplicaSet", names[true])
}

func replicaSet(ctx context.Context, p *page, rs *appsv1.ReplicaSet) {
	p.rows("Name", rs.Name, "Namespace", rs.Namespace, "Selector", metav1.FormatLabelSelector(rs.Spec.Selector))
	p.marks(rs.ObjectMeta)
	p.rows("Controlled By?", controller(rs), "Replicas", fmt.Sprintf("%d current / %d desired", rs.Status.Replicas, valueOr(rs.Spec.Replicas, 1)),
		"Pods Status", p.podsOf(ctx, rs))
	p.template(&rs.Spec.Template)
	conditions(p, rs.Status.Conditions, func(c appsv1.ReplicaSetCondition) []string {
		return []string{string(c.Type) + " ", string(c.Status), c.Reason}
	})
}

func (p *page) podsOf(ctx context.Context, rs *appsv1.ReplicaSet) string {
	selector, err := metav1.LabelSelectorAsSelector(rs.Spec.Selector)
	if err != nil {
		return "error in the selector: " + err.Error()
	}
	pods, err := api.Pods.List(ctx, p, rs.Namespace, api.ListOptions{Selector: selector})
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
func Template(t *corev1.PodTemplateSpec) string {
	p := &page{}
	p.template(t)
	return p.String()
}

func (p *page) template(t *corev1.PodTemplateSpec) {
	p.in("Pod Template:", func() {
		p.list("Labels", pairs(t.Labels, "="))
		if len(t.Annotations) > 0 {
			p.list("Annotations", annotations(t.Annotations))
		}
		p.rows("Service Account?", t.Spec.ServiceAccountName)
		p.containers("Init Containers", t.Spec.InitContainers, nil)
		p.containers("Containers", t.Spec.Containers, nil)
		p.volumes(t.Spec.Volumes)
		p.placement(t.Spec, "\n")
	})
}
