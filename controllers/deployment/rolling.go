package deployment

import (
	"fmt"
	"hash/fnv"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/rand"

	"optimist/internal/api"
	"optimist/internal/reconcile"
)

// bounds are the strategy's limits in Pods: a percentage of surge is rounded up, one of unavailability down; both 0 would be a deadlock.
func bounds(d *appsv1.Deployment) (surge, unavailable int32) {
	ru := d.Spec.Strategy.RollingUpdate
	if d.Spec.Strategy.Type == appsv1.RecreateDeploymentStrategyType || ru == nil {
		return 0, 0
	}
	surge = resolve(ru.MaxSurge, *d.Spec.Replicas, true)
	unavailable = resolve(ru.MaxUnavailable, *d.Spec.Replicas, false)
	if surge == 0 && unavailable == 0 {
		unavailable = 1
	}
	return surge, min(unavailable, *d.Spec.Replicas)
}

func resolve(v *intstr.IntOrString, of int32, up bool) int32 {
	n, err := intstr.GetScaledValueFromIntOrPercent(intstr.ValueOrDefault(v, intstr.FromInt32(0)), int(of), up)
	if err != nil {
		return 0 // validation keeps these out
	}
	return int32(n)
}

// ensureNew creates the ReplicaSet of the current template, as large as the strategy allows at once.
func (r rollout) ensureNew() []reconcile.Action {
	if r.new != nil {
		return nil
	}
	d := r.deployment
	hash, ordinal := r.freeHash()
	set := newSet(d, hash)
	size, why := r.newSize(0)
	set.Spec.Replicas = &size
	r.noteSize(set)
	noteRevision(d, set, r.nextRevision())
	say := &reconcile.Say{}
	if size > 0 {
		say = scaled(set.Name, 0, size)
	}
	say.Failed = "ReplicaSetCreateError"
	r.new = set
	status := d.DeepCopy()
	status.Status.CollisionCount = &ordinal
	if ordinal == 0 {
		status.Status.CollisionCount = d.Status.CollisionCount
	}
	r.setProgress(&status.Status, "NewReplicaSetCreated", fmt.Sprintf("Created new replica set %q", set.Name))
	return []reconcile.Action{
		reconcile.Create(api.ReplicaSetKind, set, "no ReplicaSet has this template; "+why, say),
		reconcile.Update(api.DeploymentKind, "status", status, "a new ReplicaSet was created", nil),
	}
}

// freeHash names the template: the first hash whose ReplicaSet's name nobody holds, not even one that is being deleted.
func (r rollout) freeHash() (hash string, ordinal int32) {
	for ; ; ordinal++ {
		if hash = templateHash(r.deployment, ordinal); !r.taken(r.deployment.Name + "-" + hash) {
			return hash, ordinal
		}
	}
}

func templateHash(d *appsv1.Deployment, ordinal int32) string {
	template, err := d.Spec.Template.Marshal()
	if err != nil {
		panic(err) // what was decoded can be encoded
	}
	h := fnv.New32a()
	h.Write(template)
	h.Write([]byte(string(d.UID) + "/" + strconv.Itoa(int(ordinal))))
	return rand.SafeEncodeString(strconv.FormatUint(uint64(h.Sum32()), 10))
}

func newSet(d *appsv1.Deployment, hash string) *appsv1.ReplicaSet {
	template := *d.Spec.Template.DeepCopy()
	if template.Labels == nil {
		template.Labels = map[string]string{}
	}
	template.Labels[appsv1.DefaultDeploymentUniqueLabelKey] = hash
	selector := d.Spec.Selector.DeepCopy()
	if selector.MatchLabels == nil {
		selector.MatchLabels = map[string]string{}
	}
	selector.MatchLabels[appsv1.DefaultDeploymentUniqueLabelKey] = hash
	set := &appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: d.Namespace, Name: d.Name + "-" + hash,
			Labels: map[string]string{}, OwnerReferences: []metav1.OwnerReference{reconcile.OwnerRef(d)}},
		Spec: appsv1.ReplicaSetSpec{MinReadySeconds: d.Spec.MinReadySeconds, Selector: selector, Template: template},
	}
	for k, v := range template.Labels {
		set.Labels[k] = v
	}
	return set
}

// newSize is how large the new ReplicaSet may be now that it is of a size.
func (r rollout) newSize(size int32) (int32, string) {
	d := r.deployment
	want := *d.Spec.Replicas
	if r.recreates() {
		return want, fmt.Sprintf("%d replicas are wanted", want)
	}
	if set := unobserved(r.all); set != "" {
		return size, fmt.Sprintf("how many pods %s has is not known until its status is about what it is asked for now", set)
	}
	surge, _ := bounds(d)
	have, limit := present(r.all), want+surge
	room := max(0, min(limit-have, want-size))
	return size + room, fmt.Sprintf("%d replicas in all, %d are wanted and %d allowed", have, want, limit)
}

// present counts the pods that exist or are asked for: those of a set that is shrinking only make room once they are gone. (Kubernetes counts
// what is asked for, and so may exceed maxSurge for a moment.)
func present(sets []*appsv1.ReplicaSet) (n int32) {
	for _, set := range sets {
		n += max(*set.Spec.Replicas, set.Status.Replicas)
	}
	return n
}

// unobserved names a ReplicaSet whose status is about an earlier spec: it may have made pods for that which it has not told of yet.
func unobserved(sets []*appsv1.ReplicaSet) string {
	for _, set := range sets {
		if set.Status.ObservedGeneration < set.Generation {
			return set.Name
		}
	}
	return ""
}

// scaleNew brings the new ReplicaSet towards its size.
func (r rollout) scaleNew() []reconcile.Action {
	if r.new == nil {
		return nil
	}
	size, want := *r.new.Spec.Replicas, *r.deployment.Spec.Replicas
	switch {
	case size > want:
		return r.resize(r.new, want, "more than the Deployment wants")
	case size < want:
		next, why := r.newSize(size)
		if next == size {
			return nil
		}
		return r.resize(r.new, next, why)
	}
	return nil
}

// shrinkOld takes down what may go of the old ReplicaSets: first Pods that are not available anyway, then as many of the others as
// maxUnavailable leaves room for.
func (r rollout) shrinkOld() []reconcile.Action {
	old := active(r.old)
	if r.new == nil || len(old) == 0 {
		return nil
	}
	_, unavailable := bounds(r.deployment)
	least := *r.deployment.Spec.Replicas - unavailable
	spare := asked(r.all) - least - missing(r.new) // what the new one still lacks cannot be counted on
	broken := map[string]int32{}
	for _, set := range old {
		n := max(0, min(missing(set), spare))
		broken[set.Name] = n
		spare -= n
	}
	var steps []reconcile.Action
	for _, set := range old {
		why := fmt.Sprintf("%d pods are available, %d must be", available(r.all), least)
		if broken[set.Name] > 0 {
			why = fmt.Sprintf("%d of its pods are not available", missing(set))
		}
		n := max(0, min(*set.Spec.Replicas-broken[set.Name], spare))
		spare -= n
		if to := *set.Spec.Replicas - broken[set.Name] - n; to < *set.Spec.Replicas {
			steps = append(steps, r.resize(set, to, why)...)
		}
	}
	return steps
}

// missing is how many of a ReplicaSet's Pods are asked for but not available.
func missing(s *appsv1.ReplicaSet) int32 { return max(0, *s.Spec.Replicas-s.Status.AvailableReplicas) }
