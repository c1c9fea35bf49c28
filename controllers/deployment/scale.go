package deployment

import (
	"cmp"
	"math"
	"slices"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"

	"optimist/internal/reconcile"
)

// What each ReplicaSet remembers of the Deployment's size when it was last scaled. From it we see that the size has changed since.
const (
	desiredAnnotation = "deployment.kubernetes.io/desired-replicas"
	maxAnnotation     = "deployment.kubernetes.io/max-replicas"
)

// noteSize writes the Deployment's size on a ReplicaSet and reports whether that changed anything.
func (r rollout) noteSize(set *appsv1.ReplicaSet) bool {
	want := *r.deployment.Spec.Replicas
	surge, _ := bounds(r.deployment)
	a := note(set, desiredAnnotation, strconv.Itoa(int(want)))
	b := note(set, maxAnnotation, strconv.Itoa(int(want+surge)))
	return a || b
}

func note(set *appsv1.ReplicaSet, key, value string) bool {
	if set.Annotations[key] == value {
		return false
	}
	if set.Annotations == nil {
		set.Annotations = map[string]string{}
	}
	set.Annotations[key] = value
	return true
}

func number(set *appsv1.ReplicaSet, key string) (int32, bool) {
	n, err := strconv.ParseInt(set.Annotations[key], 10, 32)
	return int32(n), err == nil
}

// resized reports whether the Deployment was given another size since its ReplicaSets were scaled.
func (r rollout) resized() bool {
	return slices.ContainsFunc(active(r.all), func(s *appsv1.ReplicaSet) bool {
		n, ok := number(s, desiredAnnotation)
		return ok && n != *r.deployment.Spec.Replicas
	})
}

// scale carries a changed size over to the ReplicaSets without rolling out: to the only active one, or else to all in proportion, so
// that a rollout under way keeps its mix of old and new.
func (r rollout) scale() []reconcile.Action {
	want := *r.deployment.Spec.Replicas
	sets := active(r.all)
	switch {
	case len(sets) == 0 && len(r.all) == 0:
		return nil
	case len(sets) == 0:
		return r.resize(cmp.Or(r.new, r.all[len(r.all)-1]), want, "the Deployment has another size")
	case len(sets) == 1:
		return r.resize(sets[0], want, "the Deployment has another size")
	case r.saturated():
		return r.stop("the new ReplicaSet alone provides what is wanted")
	}
	return r.proportionally(sets)
}

// saturated reports whether the new ReplicaSet alone provides everything.
func (r rollout) saturated() bool {
	if r.new == nil {
		return false
	}
	noted, ok := number(r.new, desiredAnnotation)
	want := *r.deployment.Spec.Replicas
	return ok && noted == want && *r.new.Spec.Replicas == want && r.new.Status.AvailableReplicas == want
}

func (r rollout) proportionally(sets []*appsv1.ReplicaSet) []reconcile.Action {
	surge, _ := bounds(r.deployment)
	var limit int32
	if want := *r.deployment.Spec.Replicas; want > 0 {
		limit = want + surge
	}
	toAdd := limit - asked(sets)
	slices.SortStableFunc(sets, func(a, b *appsv1.ReplicaSet) int { // larger ones first; of equals the newer grows and the older shrinks first
		bySize := cmp.Compare(*b.Spec.Replicas, *a.Spec.Replicas)
		if toAdd > 0 {
			return cmp.Or(bySize, older(b, a))
		}
		return cmp.Or(bySize, older(a, b))
	})
	shares, left := make([]int32, len(sets)), toAdd
	for i, set := range sets {
		shares[i] = r.share(set, left)
		left -= shares[i]
	}
	shares[0] += left // what rounding left over
	var steps []reconcile.Action
	for i, set := range sets {
		steps = append(steps, r.resize(set, max(0, *set.Spec.Replicas+shares[i]), "its share of the Deployment's new size")...)
	}
	return steps
}

// share is how much of what is left to add (or, below 0, to take away) a ReplicaSet's size entitles it to.
func (r rollout) share(set *appsv1.ReplicaSet, left int32) int32 {
	d, size := r.deployment, *set.Spec.Replicas
	if *d.Spec.Replicas == 0 {
		return -size
	}
	surge, _ := bounds(d)
	before, ok := number(set, maxAnnotation)
	if !ok || before == 0 {
		before = max(1, d.Status.Replicas)
	}
	grown := float64(size) * float64(*d.Spec.Replicas+surge) / float64(before)
	part := int32(math.Round(grown)) - size
	if left > 0 {
		return max(0, min(part, left))
	}
	return min(0, max(part, left))
}
