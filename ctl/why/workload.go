package why

import (
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"optimist/internal/api"
)

// newest is the ReplicaSet of a deployment's present template; nil if it has not been made.
func (f *Facts) newest(d *appsv1.Deployment) *appsv1.ReplicaSet {
	for _, set := range ownedBy[*appsv1.ReplicaSet](f, d.UID) {
		template := set.Spec.Template.DeepCopy()
		delete(template.Labels, appsv1.DefaultDeploymentUniqueLabelKey)
		if equality.Semantic.DeepEqual(template, &d.Spec.Template) {
			return set
		}
	}
	return nil
}

// running are the pods of a ReplicaSet that count towards its replicas.
func (f *Facts) running(set *appsv1.ReplicaSet) []*corev1.Pod {
	return slices.DeleteFunc(ownedBy[*corev1.Pod](f, set.UID), func(p *corev1.Pod) bool { return p.DeletionTimestamp != nil || api.Ended(p) })
}

func replicas(n *int32) int {
	if n == nil {
		return 1
	}
	return int(*n)
}

// lags is an object that its controller should have acted on.
func (f *Facts) lags(o api.Object) bool {
	switch o := o.(type) {
	case *appsv1.Deployment:
		sets := ownedBy[*appsv1.ReplicaSet](f, o.UID)
		return o.Generation > o.Status.ObservedGeneration || slices.ContainsFunc(sets, func(s *appsv1.ReplicaSet) bool { return f.lags(s) }) ||
			!o.Spec.Paused && f.newest(o) == nil
	case *appsv1.ReplicaSet:
		return o.Generation > o.Status.ObservedGeneration || len(f.running(o)) != replicas(o.Spec.Replicas)
	}
	if n, ok := o.(*corev1.Node); ok {
		return recovering(n) != ""
	}
	return o.GetDeletionTimestamp() != nil && api.Builtin.Of(o).Is(api.NamespaceKind)
}

func noControllers[T api.Object](f *Facts, o T) *Cause {
	if !f.absent("controllers") || !f.lags(o) {
		return nil
	}
	return &Cause{Text: fmt.Sprintf("no controllers run, so nobody acts on %s", name(o)), Try: f.start("controllers")}
}

func paused(f *Facts, d *appsv1.Deployment) *Cause {
	if !d.Spec.Paused || f.newest(d) != nil {
		return nil
	}
	return &Cause{Text: fmt.Sprintf("%s is paused, so its new template is not rolled out", name(d)), Try: []string{f.in(d.Namespace, "rollout resume "+name(d))}}
}

// waitsForSets leads to the ReplicaSet that is being rolled out, then to those that shall go.
func waitsForSets(f *Facts, d *appsv1.Deployment) *Cause {
	current := f.newest(d)
	sets := ownedBy[*appsv1.ReplicaSet](f, d.UID)
	slices.SortStableFunc(sets, func(a, b *appsv1.ReplicaSet) int {
		switch {
		case a == current:
			return -1
		case b == current:
			return 1
		}
		return 0
	})
	c := &Cause{Text: fmt.Sprintf("%d of %s available", d.Status.AvailableReplicas, count(replicas(d.Spec.Replicas), "pod"))}
	if late := deploymentCondition(d, appsv1.DeploymentProgressing); late != nil && late.Reason == "ProgressDeadlineExceeded" {
		c.Text += fmt.Sprintf(", nothing new for more than %ds (progressDeadlineSeconds)", *d.Spec.ProgressDeadlineSeconds)
	}
	for _, s := range sets {
		c.below = append(c.below, s)
	}
	return c
}

func deploymentCondition(d *appsv1.Deployment, t appsv1.DeploymentConditionType) *appsv1.DeploymentCondition {
	for i := range d.Status.Conditions {
		if d.Status.Conditions[i].Type == t {
			return &d.Status.Conditions[i]
		}
	}
	return nil
}

func pastDeadline(f *Facts, d *appsv1.Deployment) *Cause {
	c := deploymentCondition(d, appsv1.DeploymentProgressing)
	if c == nil || c.Status != corev1.ConditionFalse || d.Spec.Paused {
		return nil
	}
	return &Cause{Text: fmt.Sprintf("the rollout of %s does not get on: %s", name(d), c.Message), Try: f.undoDeployment(d)}
}

// refusedPod is a ReplicaSet whose pods the API server does not take.
func refusedPod(f *Facts, s *appsv1.ReplicaSet) *Cause {
	for _, c := range s.Status.Conditions {
		if c.Type != appsv1.ReplicaSetReplicaFailure || c.Status != corev1.ConditionTrue {
			continue
		}
		cause := &Cause{Text: fmt.Sprintf("the API server refuses the pods that %s wants to create: %s", name(s), c.Message)}
		d := owner[*appsv1.Deployment](f, s)
		if d == nil {
			return cause
		}
		var without []string
		if class := s.Spec.Template.Spec.PriorityClassName; class != "" && strings.Contains(c.Message, "no PriorityClass with name "+class) {
			without = []string{f.in(d.Namespace, fmt.Sprintf("patch %s --type=json -p %s", name(d), patch("/spec/template/spec", op{Op: "remove", Path: "/priorityClassName"})))}
		}
		cause.Try, cause.Or = firstOf(f.undoDeployment(d), without)
		return cause
	}
	return nil
}

// waitsForPods leads to the pods that are not ready, and to those that do not end.
func waitsForPods(f *Facts, s *appsv1.ReplicaSet) *Cause {
	c := &Cause{Text: fmt.Sprintf("%d of %s available", s.Status.AvailableReplicas, count(replicas(s.Spec.Replicas), "pod"))}
	for _, p := range ownedBy[*corev1.Pod](f, s.UID) {
		c.below = append(c.below, p)
	}
	return c
}

func deploymentState(f *Facts, d *appsv1.Deployment) (bool, string) {
	want, s := replicas(d.Spec.Replicas), d.Status
	available := fmt.Sprintf("%d of %s available", s.AvailableReplicas, count(want, "pod"))
	switch {
	case d.DeletionTimestamp != nil:
		return false, "is ending"
	case f.lags(d) || int(s.UpdatedReplicas) < want || int(s.AvailableReplicas) < want || s.Replicas > s.UpdatedReplicas:
		return false, fmt.Sprintf("is on its way: %s, %d of the newest template", available, s.UpdatedReplicas)
	}
	return true, "is well: " + available
}

func setState(f *Facts, s *appsv1.ReplicaSet) (bool, string) {
	want := replicas(s.Spec.Replicas)
	available := fmt.Sprintf("%d of %s available", s.Status.AvailableReplicas, count(want, "pod"))
	switch {
	case s.DeletionTimestamp != nil:
		return false, "is ending"
	case f.lags(s) || int(s.Status.AvailableReplicas) < want:
		return false, "is on its way: " + available
	}
	return true, "is well: " + available
}

// held is an object whose deletion waits only for a finalizer. (Of pods, the node comes first.)
func held(f *Facts, o api.Object) *Cause {
	finalizers := o.GetFinalizers()
	pod, isPod := o.(*corev1.Pod)
	if o.GetDeletionTimestamp() == nil || len(finalizers) == 0 ||
		isPod && placed(pod) && pod.DeletionGracePeriodSeconds != nil && *pod.DeletionGracePeriodSeconds > 0 {
		return nil
	}
	switch finalizers[0] {
	case metav1.FinalizerDeleteDependents, metav1.FinalizerOrphanDependents:
		return dependents(f, o)
	}
	whose, _, _ := strings.Cut(finalizers[0], "/")
	return &Cause{Text: fmt.Sprintf("%s is deleted, but its finalizer %s holds it: %s has to take it off, and has not", name(o), finalizers[0], whose),
		Evidence: []string{"taking it off by hand means that what " + whose + " still wanted to do is not done",
			"who has put it there: ctl " + f.in(o.GetNamespace(), "history "+name(o))},
		Try: []string{f.in(o.GetNamespace(), fmt.Sprintf(`patch %s --type=json -p '[{"op":"remove","path":"/metadata/finalizers/0"}]'`, name(o)))}}
}

// dependents leads from an object that goes last to what has to go before it.
func dependents(f *Facts, o api.Object) *Cause {
	if f.absent("controllers") {
		return &Cause{Text: fmt.Sprintf("no controllers run, so nobody deletes what %s owns", name(o)), Try: f.start("controllers")}
	}
	c := &Cause{Text: "which it owns and which goes first"}
	for _, child := range f.Objects {
		if slices.ContainsFunc(child.GetOwnerReferences(), func(r metav1.OwnerReference) bool { return r.UID == o.GetUID() }) {
			c.below = append(c.below, child)
		}
	}
	if len(c.below) == 0 {
		return nil
	}
	return c
}
