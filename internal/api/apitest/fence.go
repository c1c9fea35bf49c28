package apitest

import (
	"strings"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"optimist/internal/api"
)

const lease = `
apiVersion: coordination.k8s.io/v1
kind: Lease
metadata: {name: leader, namespace: kube-system}
spec: {holderIdentity: one, leaseDurationSeconds: 15}`

func fenceOf(o api.Object) *api.Fence {
	l := o.(*coordinationv1.Lease)
	return &api.Fence{Lease: api.KeyOf(l), Holder: *l.Spec.HolderIdentity, Epoch: *l.Spec.LeaseTransitions}
}

// takeOver changes a lease's holder.
func (s *suite) takeOver(o api.Object, by string) api.Object {
	s.Helper()
	return s.update(with(o, func(l *coordinationv1.Lease) { l.Spec.HolderIdentity = &by; l.Spec.LeaseTransitions = nil }), "")
}

// A leader's writes pass as long as it holds the lease, and never after.
func fence(s *suite) {
	first := s.create(lease)
	one := fenceOf(first)
	o := s.must(s.try(api.VerbCreate, Object(s, plainMap), "", api.Options{Fence: one}))
	renewed := s.update(with(first, func(l *coordinationv1.Lease) { l.Spec.RenewTime = new(metav1.NowMicro()) }), "")
	o = s.must(s.try(api.VerbUpdate, with(o, func(c *corev1.ConfigMap) { c.Data["k"] = "w" }), "", api.Options{Fence: one}))

	two := fenceOf(s.takeOver(renewed, "two"))
	late := with(o, func(c *corev1.ConfigMap) { c.Data["k"] = "late" })
	for _, v := range []api.Verb{api.VerbUpdate, api.VerbDelete} {
		r := api.Request{Target: s.target(o, ""), Verb: v, Options: api.Options{Fence: one}}
		if v == api.VerbUpdate {
			r.Body = late.DeepCopy()
		}
		_, err := s.Write(s.ctx, r)
		s.fails(err, metav1.StatusReasonConflict, "the lease was lost")
	}
	_, err := s.Write(api.WithFence(s.ctx, *one), api.Request{Target: s.target(o, ""), Verb: api.VerbUpdate, Body: late})
	s.fails(err, metav1.StatusReasonConflict, "the lease was lost")
	s.equal("data", s.get(o).(*corev1.ConfigMap).Data["k"], "w")
	s.must(s.try(api.VerbUpdate, with(o, func(c *corev1.ConfigMap) { c.Data["k"] = "x" }), "", api.Options{Fence: two}))
	unknown := &api.Fence{Lease: api.Key{Namespace: "kube-system", Name: "none"}}
	_, err = s.try(api.VerbCreate, Object(s, strings.Replace(plainMap, "name: a", "name: b", 1)), "", api.Options{Fence: unknown})
	s.fails(err, metav1.StatusReasonConflict, "the lease was lost")
}

// spec.leaseTransitions grows with every change of holder, whatever the holders write there, and also when the Lease was deleted in between.
func epochs(s *suite) {
	o := s.create(lease)
	first := fenceOf(o)
	o = s.takeOver(o, "two")
	second := fenceOf(o)
	o = s.update(with(o, func(l *coordinationv1.Lease) { l.Spec.LeaseTransitions = new(int32(0)) }), "")
	s.equal("epoch after its holder wrote another", fenceOf(o).Epoch, second.Epoch)
	s.must(s.tryDelete(o, api.Options{}))
	_, err := s.try(api.VerbCreate, Object(s, plainMap), "", api.Options{Fence: second})
	s.fails(err, metav1.StatusReasonConflict, "the lease was lost")
	third := fenceOf(s.create(strings.Replace(lease, "one", "two", 1)))
	if !(first.Epoch < second.Epoch && second.Epoch < third.Epoch) {
		s.Errorf("the epochs are %d, %d, %d", first.Epoch, second.Epoch, third.Epoch)
	}
}
