package nodelifecycle

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"

	"optimist/internal/api"
	"optimist/internal/api/apitest"
	"optimist/internal/informer"
	"optimist/internal/reconcile"
)

// server knows a Lease, and takes down what is written.
type server struct {
	api.Service
	lease  api.Object
	fail   error
	writes []api.Request
}

func (s *server) Get(context.Context, api.Target, api.GetOptions) (api.Result, error) {
	return api.Result{Object: s.lease}, s.fail
}

func (s *server) Write(_ context.Context, r api.Request) (api.Result, error) {
	s.writes = append(s.writes, r)
	return api.Result{Revision: 100}, nil
}

func lease(t *testing.T, version string) api.Object {
	return apitest.Object(t, `{apiVersion: coordination.k8s.io/v1, kind: Lease, metadata: {namespace: kube-node-lease, name: n1, resourceVersion: "`+version+`"}}`)
}

func delivered(set *informer.Set, k *api.Kind, o api.Object) {
	set.Open(k)
	set.Deliver(k, []api.Event{{Type: api.Added, Object: o, Revision: 5}, {Type: api.Bookmark, Revision: 5, InitialEnd: true}})
}

// Whoever has heard nothing asks before he says that a node is silent: he may have been paused, or cut off, himself.
func TestTheServerIsAskedFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{lease: lease(t, "9")}
		d := reconcile.Deps{Set: informer.NewSet(s), Service: s, Log: slog.New(slog.DiscardHandler)}
		c := New(d)
		for _, w := range c.Watches {
			d.Set.Listen(w.Kind, func(ch informer.Change) { w.Map(ch.Before, ch.After) })
		}
		delivered(d.Set, api.LeaseKind, lease(t, "4"))
		delivered(d.Set, api.NodeKind, apitest.As[*corev1.Node](t, `{apiVersion: v1, kind: Node, metadata: {name: n1, uid: u1, resourceVersion: "5"}, status: {conditions: [{type: Ready, status: "True"}]}}`))
		look := func(after time.Duration, again time.Duration, fails bool, writes int) {
			t.Helper()
			time.Sleep(after)
			got, err := c.Reconcile(t.Context(), api.Key{Name: "n1"})
			if got != again || (err != nil) != fails || len(s.writes) != writes {
				t.Errorf("again in %s, error %v, %d writes", got, err, len(s.writes))
			}
		}
		look(10*time.Second, 40*time.Second, false, 0)
		look(50*time.Second, grace, false, 0) // the Lease has been renewed, but we were not told
		s.fail = errors.New("no route to host")
		look(grace, 0, true, 0)
		s.fail = nil
		look(time.Second, 49*time.Second, false, 0) // while nobody could be asked, no time passed
		look(49*time.Second, 0, false, 1)
		if s.writes[0].Kind != api.NodeKind || s.writes[0].Sub != "status" {
			t.Error(s.writes)
		}
	})
}
