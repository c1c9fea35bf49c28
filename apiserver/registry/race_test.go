package registry_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"optimist/apiserver/registry"
	"optimist/apiserver/store/memory"
	"optimist/internal/api"
	"optimist/internal/api/apitest"
	wire "optimist/proto"
)

// Two registries over one store remember namespaces each for itself; a stale memory never lets an object slip into a namespace that ends.
func TestStaleMemoryOfNamespace(t *testing.T) {
	s := memory.New()
	one, two := openOver(t, s, registry.Options{}), openOver(t, s, registry.Options{})
	in := func(name string) *corev1.ConfigMap {
		return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: name}}
	}
	team := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "team"}}
	if _, err := api.Namespaces.Create(t.Context(), two, team.DeepCopy()); err != nil {
		t.Fatal(err)
	}
	mustCreate(t, one, in("a"))
	if err := api.Namespaces.Delete(t.Context(), two, api.KeyOf(team), api.Options{}); err != nil {
		t.Fatal(err)
	}
	if _, err := api.ConfigMaps.Create(t.Context(), one, in("b")); !apierrors.IsForbidden(err) {
		t.Errorf("into a terminating namespace: %v", err)
	}
	if _, err := two.Write(t.Context(), api.Namespaces.Request(api.VerbUpdate, api.KeyOf(team), "finalize", team.DeepCopy())); err != nil {
		t.Fatal(err)
	}
	if _, err := api.ConfigMaps.Create(t.Context(), one, in("b")); !apierrors.IsNotFound(err) {
		t.Errorf("into a namespace that is gone: %v", err)
	}
	if _, err := api.Namespaces.Create(t.Context(), two, team); err != nil {
		t.Fatal(err)
	}
	mustCreate(t, one, in("b"))
}

// Every write leaves a journal entry beside its transaction (law 7).
func TestJournal(t *testing.T) {
	s := memory.New()
	r := openOver(t, s, registry.Options{})
	ctx := api.WithUser(t.Context(), api.User{Name: "ann"})
	ctx = api.WithCauses(ctx, api.Causes{}.Add(api.Cause{Type: api.CauseTrigger, Revision: 3}))
	before := time.Now()
	res, err := r.Write(ctx, api.Request{Target: api.Target{Kind: api.ConfigMapKind, Key: api.Key{Namespace: "default"}}, Verb: api.VerbCreate,
		Body: &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{GenerateName: "a-"}}, Options: api.Options{Manager: "test"}})
	if err != nil {
		t.Fatal(err)
	}
	batches, err := s.Watch(t.Context(), "/core/configmaps/", 0)
	if err != nil {
		t.Fatal(err)
	}
	for b, err := range batches {
		var n wire.Note
		if err := errors.Join(err, proto.Unmarshal(b.Note, &n)); err != nil {
			t.Fatal(err)
		}
		if n.User != "ann" || n.Verb != "create" || n.Manager != "test" || n.Target.Kind != "ConfigMap" || n.Target.Name != res.Object.GetName() ||
			len(n.Causes.GetEdges()) != 1 || n.Causes.Edges[0].Revision != 3 || n.Causes.Edges[0].Type != "trigger" ||
			n.TimeNs < before.UnixNano() || n.TimeNs > time.Now().UnixNano() {
			t.Errorf("the journal says %v", &n)
		}
		break
	}
}

// A service's address is unique also when many are made at once: claims are taken anew on conflict, from an untouched object.
func TestClaimsUnderContention(t *testing.T) {
	r := open(t, registry.Options{})
	ips := make(chan string)
	const many = 24
	for range many {
		go func() {
			o := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "default", GenerateName: "s-"}, Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80}}}}
			got, err := api.Services.Create(t.Context(), r, o)
			if err != nil {
				t.Error(err)
				ips <- ""
				return
			}
			ips <- got.Spec.ClusterIP
		}()
	}
	seen := map[string]bool{}
	for range many {
		seen[<-ips] = true
	}
	if len(seen) != many {
		t.Errorf("%d services got %d addresses", many, len(seen))
	}
}

// Law 10: once a successor holds the lease, no write of its predecessor is committed, however the two race.
func TestNoWriteAfterTakeover(t *testing.T) {
	s := memory.New()
	r := openOver(t, s, registry.Options{})
	lease := apitest.As[*coordinationv1.Lease](t, "{apiVersion: coordination.k8s.io/v1, kind: Lease, metadata: {name: leader, namespace: default}, spec: {holderIdentity: old}}")
	held, err := api.Leases.Create(t.Context(), r, lease)
	if err != nil {
		t.Fatal(err)
	}
	fence := api.Fence{Lease: api.KeyOf(held), Holder: "old", Epoch: *held.Spec.LeaseTransitions}
	started, lost := make(chan bool, 100), make(chan error, 4)
	for range 4 {
		go func() {
			ctx := api.WithUser(api.WithFence(t.Context(), fence), api.User{Name: "old"})
			for {
				_, err := r.Write(ctx, api.Request{Target: api.Target{Kind: api.ConfigMapKind, Key: api.Key{Namespace: "default"}}, Verb: api.VerbCreate,
					Body: &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{GenerateName: "by-old-"}}})
				if err != nil {
					lost <- err
					return
				}
				select {
				case started <- true:
				default:
				}
			}
		}()
	}
	for range cap(started) {
		<-started
	}
	next := held.DeepCopy()
	next.Spec.HolderIdentity = new("new")
	taken, err := api.Leases.Update(t.Context(), r, next)
	if err != nil {
		t.Fatal(err)
	}
	for range 4 {
		if err := <-lost; !apierrors.IsConflict(err) || !strings.Contains(err.Error(), "the lease was lost") {
			t.Errorf("the old leader ended with %v", err)
		}
	}
	l, err := r.List(t.Context(), api.Target{Kind: api.ConfigMapKind}, api.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range l.Items {
		if api.RevisionOf(o) > api.RevisionOf(taken) {
			t.Errorf("%s was written at %s, after the lease had changed hands at %s", o.GetName(), o.GetResourceVersion(), taken.ResourceVersion)
		}
	}
}
