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
	slots, spare, ordinal := make([][]slot, len(groups)), []*discoveryv1.EndpointSlice(nil), 0
	for _, old := range have {
		if old.DeletionTimestamp != nil || old.Labels[discoveryv1.LabelManagedBy] != manager {
			continue
		}
		i := slices.IndexFunc(groups, func(g group) bool { return equality.Semantic.DeepEqual(g.ports, old.Ports) })
		if i >= 0 {
			if s := (slot{old, keep(old, groups[i].missing, labels)}); len(s.now.Endpoints) > 0 {
				slots[i] = append(slots[i], s)
				continue
			}
		}
		spare = append(spare, old)
	}
	further := func(ports []discoveryv1.EndpointPort) (s slot) {
		if len(spare) > 0 {
			s.old, s.now, spare = spare[0], spare[0].DeepCopy(), spare[1:]
		} else {
			for ; v.taken(reconcile.ChildName(owner, ordinal)); ordinal++ {
			}
			s.now = &discoveryv1.EndpointSlice{AddressType: discoveryv1.AddressTypeIPv4, ObjectMeta: metav1.ObjectMeta{Namespace: owner.GetNamespace(),
				Name: reconcile.ChildName(owner, ordinal), OwnerReferences: []metav1.OwnerReference{reconcile.OwnerRef(owner)}}}
			ordinal++
		}
		s.now.Labels, s.now.Ports, s.now.Endpoints = maps.Clone(labels), ports, nil
		return s
	}
	for i, g := range groups {
		missing := slices.DeleteFunc(slices.Clone(g.endpoints), func(e discoveryv1.Endpoint) bool { return g.missing[identity(e)].Addresses == nil })
		for _, s := range fill(slots[i], missing, func() slot { return further(g.ports) }) {
			if s.old == nil {
				steps = append(steps, reconcile.Create(api.EndpointSliceKind, s.now, "its endpoints fit in no slice that there is", nil))
			} else if s.changed() {
				steps = append(steps, reconcile.Update(api.EndpointSliceKind, "", s.now, "its endpoints have changed", nil))
			}
		}
	}
	return append(steps, drop(spare, "it has no endpoints any more")...)
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
