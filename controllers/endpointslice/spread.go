package endpointslice

import (
	"maps"
	"slices"

	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"optimist/internal/api"
	"optimist/internal/reconcile"
)

// maxEndpoints is how many endpoints a slice gets: Kubernetes' number, unless it is told another.
const maxEndpoints = 100

// slot is a slice as it is (nil = not yet), and as it is to be.
type slot struct{ old, now *discoveryv1.EndpointSlice }

func (s slot) changed() bool { return s.old == nil || !equality.Semantic.DeepEqual(s.old, s.now) }
func (s slot) room() int     { return max(0, maxEndpoints-len(s.now.Endpoints)) }

// spread plans an owner's slices. Those that are left without endpoints become the next new ones, or go; without any endpoints at all an empty slice
// says so.
func spread(v view, owner api.Object, manager string, have []*discoveryv1.EndpointSlice, groups []group) (steps []reconcile.Action) {
	if len(groups) == 0 {
		groups = []group{{}}
	}
	labels := labelled(v.service, owner.GetLabels(), discoveryv1.LabelServiceName, v.service.Name, discoveryv1.LabelManagedBy, manager)
	slots, more := make([][]slot, len(groups)), stock{taken: v.taken, owner: owner, labels: labels}
	for _, old := range have {
		if old.DeletionTimestamp != nil || old.Labels[discoveryv1.LabelManagedBy] != manager {
			continue
		}
		i, missing := slices.IndexFunc(groups, func(g group) bool { return equality.Semantic.DeepEqual(g.ports, old.Ports) }), map[string]discoveryv1.Endpoint(nil)
		if i >= 0 {
			missing = groups[i].missing
		}
		if s := (slot{old, keep(old, missing, labels)}); len(s.now.Endpoints) > 0 {
			slots[i] = append(slots[i], s)
		} else {
			more.spare = append(more.spare, old)
		}
	}
	for i, g := range groups {
		missing := slices.DeleteFunc(slices.Clone(g.endpoints), func(e discoveryv1.Endpoint) bool { return g.missing[identity(e)].Addresses == nil })
		for _, s := range fill(slots[i], missing, func() slot { return more.take(g.ports) }) {
			if s.old == nil {
				steps = append(steps, reconcile.Create(api.EndpointSliceKind, s.now, "its endpoints fit in no slice that there is", nil))
			} else if s.changed() {
				steps = append(steps, reconcile.Update(api.EndpointSliceKind, "", s.now, "its endpoints have changed", nil))
			}
		}
	}
	return append(steps, drop(more.spare, "it has no endpoints any more")...)
}

// stock is where further slices come from: those that are left without endpoints, then new ones.
type stock struct {
	spare   []*discoveryv1.EndpointSlice
	taken   func(name string) bool
	owner   api.Object
	labels  map[string]string
	ordinal int // no new slice has this number, or a higher one
}

func (k *stock) take(ports []discoveryv1.EndpointPort) (s slot) {
	if len(k.spare) > 0 {
		s.old, s.now, k.spare = k.spare[0], k.spare[0].DeepCopy(), k.spare[1:]
	} else {
		for ; k.taken(reconcile.ChildName(k.owner, k.ordinal)); k.ordinal++ {
		}
		s.now = &discoveryv1.EndpointSlice{AddressType: discoveryv1.AddressTypeIPv4, ObjectMeta: metav1.ObjectMeta{Namespace: k.owner.GetNamespace(),
			Name: reconcile.ChildName(k.owner, k.ordinal), OwnerReferences: []metav1.OwnerReference{reconcile.OwnerRef(k.owner)}}}
		k.ordinal++
	}
	s.now.Labels, s.now.Ports, s.now.Endpoints = maps.Clone(k.labels), ports, nil
	return s
}

func drop(all []*discoveryv1.EndpointSlice, why string) (steps []reconcile.Action) {
	for _, s := range all {
		steps = append(steps, reconcile.Delete(api.EndpointSliceKind, s, why, nil))
	}
	return steps
}

// fill puts what is missing into slices that must be written anyhow, the fullest first; else into one that has room for all of it; else into new ones.
func fill(slots []slot, missing []discoveryv1.Endpoint, further func() slot) []slot {
	slices.SortStableFunc(slots, func(a, b slot) int { return a.room() - b.room() })
	put := func(s slot) {
		n := min(s.room(), len(missing))
		s.now.Endpoints, missing = append(s.now.Endpoints, missing[:n]...), missing[n:]
	}
	for _, s := range slots {
		if s.changed() {
			put(s)
		}
	}
	for _, s := range slots {
		if !s.changed() && len(missing) <= s.room() {
			put(s)
		}
	}
	for len(missing) > 0 || len(slots) == 0 {
		s := further()
		put(s)
		slots = append(slots, s)
	}
	return slots
}

// keep is a slice with what of its endpoints is still wanted, as it is now; these are no longer missing.
func keep(old *discoveryv1.EndpointSlice, missing map[string]discoveryv1.Endpoint, labels map[string]string) *discoveryv1.EndpointSlice {
	next := old.DeepCopy()
	next.Labels, next.Endpoints = maps.Clone(labels), nil
	for _, e := range old.Endpoints {
		if now, ok := missing[identity(e)]; ok {
			next.Endpoints = append(next.Endpoints, now)
			delete(missing, identity(e))
		}
	}
	return next
}

// identity is what makes an endpoint the same one as before.
func identity(e discoveryv1.Endpoint) string {
	if e.TargetRef == nil {
		return e.Addresses[0]
	}
	return e.Addresses[0] + " " + string(e.TargetRef.UID)
}
