package describe

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"optimist/internal/api"
)

func deployment(ctx context.Context, c Cluster, p *page, d *appsv1.Deployment) {
	p.line("Name:\t%s", d.Name)
	p.line("Namespace:\t%s", d.Namespace)
	p.line("CreationTimestamp:\t%s", date(d.CreationTimestamp))
	p.labels("Labels", d.Labels)
	p.annotations(d.Annotations)
	p.line("Selector:\t%s", metav1.FormatLabelSelector(d.Spec.Selector))
	p.line("Replicas:\t%d desired | %d updated | %d total | %d available | %d unavailable", valueOr(d.Spec.Replicas, 1),
		d.Status.UpdatedReplicas, d.Status.Replicas, d.Status.AvailableReplicas, d.Status.UnavailableReplicas)
	p.line("StrategyType:\t%s", d.Spec.Strategy.Type)
	p.line("MinReadySeconds:\t%d", d.Spec.MinReadySeconds)
	if r := d.Spec.Strategy.RollingUpdate; r != nil && r.MaxUnavailable != nil && r.MaxSurge != nil {
		p.line("RollingUpdateStrategy:\t%s max unavailable, %s max surge", r.MaxUnavailable.String(), r.MaxSurge.String())
	}
	p.template(&d.Spec.Template)
	p.deploymentConditions(d.Status.Conditions)
	p.replicaSets(ctx, c, d)
}

func (p *page) deploymentConditions(conditions []appsv1.DeploymentCondition) {
	if len(conditions) == 0 {
		return
	}
	p.line("Conditions:")
	p.in(func() {
		p.line("Type\tStatus\tReason")
		p.line("----\t------\t------")
		for _, c := range conditions {
			p.line("%s \t%s\t%s", c.Type, c.Status, c.Reason)
		}
	})
}

const revisionAnnotation = "deployment.kubernetes.io/revision"

// replicaSets names the deployment's own: the one with its revision is the new one, the others are old.
func (p *page) replicaSets(ctx context.Context, c Cluster, d *appsv1.Deployment) {
	all, err := api.ReplicaSets.List(ctx, c, d.Namespace, api.ListOptions{})
	if err != nil {
		return
	}
	slices.SortFunc(all, func(a, b *appsv1.ReplicaSet) int {
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Name, b.Name))
	})
	var old, current []string
	for _, rs := range all {
		if !metav1.IsControlledBy(rs, d) {
			continue
		}
		text := fmt.Sprintf("%s (%d/%d replicas created)", rs.Name, rs.Status.Replicas, valueOr(rs.Spec.Replicas, 1))
		if rs.Annotations[revisionAnnotation] == d.Annotations[revisionAnnotation] {
			current = append(current, text)
		} else {
			old = append(old, text)
		}
	}
	p.line("OldReplicaSets:\t%s", listOrNone(old))
	p.line("NewReplicaSet:\t%s", listOrNone(current))
}

func replicaSet(ctx context.Context, c Cluster, p *page, rs *appsv1.ReplicaSet) {
	p.line("Name:\t%s", rs.Name)
	p.line("Namespace:\t%s", rs.Namespace)
	p.line("Selector:\t%s", metav1.FormatLabelSelector(rs.Spec.Selector))
	p.labels("Labels", rs.Labels)
	p.annotations(rs.Annotations)
	p.controller(rs)
	p.line("Replicas:\t%d current / %d desired", rs.Status.Replicas, valueOr(rs.Spec.Replicas, 1))
	p.line("Pods Status:\t%s", podStatus(ctx, c, rs))
	p.template(&rs.Spec.Template)
	if len(rs.Status.Conditions) == 0 {
		return
	}
	p.line("Conditions:")
	p.in(func() {
		p.line("Type\tStatus\tReason")
		p.line("----\t------\t------")
		for _, c := range rs.Status.Conditions {
			p.line("%s \t%s\t%s", c.Type, c.Status, c.Reason)
		}
	})
}

func (p *page) controller(o metav1.Object) {
	if owner := metav1.GetControllerOf(o); owner != nil {
		p.line("Controlled By:\t%s/%s", owner.Kind, owner.Name)
	}
}

func podStatus(ctx context.Context, c Cluster, rs *appsv1.ReplicaSet) string {
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
func Template(t *corev1.PodTemplateSpec) string {
	p := &page{}
	p.template(t)
	return p.String()
}

func (p *page) template(t *corev1.PodTemplateSpec) {
	p.line("Pod Template:")
	p.in(func() {
		p.labels("Labels", t.Labels)
		if len(t.Annotations) > 0 {
			p.annotations(t.Annotations)
		}
		if t.Spec.ServiceAccountName != "" {
			p.line("Service Account:\t%s", t.Spec.ServiceAccountName)
		}
		p.containers("Init Containers", t.Spec.InitContainers, nil)
		p.containers("Containers", t.Spec.Containers, nil)
		p.volumes(t.Spec.Volumes)
		p.line("Node-Selectors:\t%s", strings.ReplaceAll(orNone(pairsOf(t.Spec.NodeSelector)), ",", "\n"))
		p.tolerations(t.Spec.Tolerations)
	})
}
