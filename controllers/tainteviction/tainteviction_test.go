package tainteviction

import (
	"context"
	"log/slog"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"optimist/internal/api"
	"optimist/internal/api/apitest"
	"optimist/internal/informer"
	"optimist/internal/reconcile"
)

// server knows the node as it is, and takes down what is written.
type server struct {
	api.Service
	node   *corev1.Node
	writes []api.Request
}

func (s *server) Get(context.Context, api.Target, api.GetOptions) (api.Result, error) {
	return api.Result{Object: s.node}, nil
}

func (s *server) Write(_ context.Context, r api.Request) (api.Result, error) {
	s.writes = append(s.writes, r)
	return api.Result{Revision: 100}, nil
}

// A taint that has gone while we were paused drives nobody out, though our cache still has it.
func TestTheServerIsAskedFirst(t *testing.T) {
	node := func(taints string) *corev1.Node {
		return apitest.As[*corev1.Node](t, `{apiVersion: v1, kind: Node, metadata: {name: n1, resourceVersion: "5"}, spec: {taints: [`+taints+`]}}`)
	}
	const taint = `{key: repair, effect: NoExecute, timeAdded: "2026-01-01T00:00:00Z"}`
	s := &server{node: node("")}
	d := reconcile.Deps{Set: informer.NewSet(s), Service: s, Log: slog.New(slog.DiscardHandler)}
	c := New(d)
	for k, o := range map[*api.Kind]api.Object{
		api.NodeKind: node(taint),
		api.PodKind:  apitest.Object(t, `{apiVersion: v1, kind: Pod, metadata: {namespace: default, name: a, resourceVersion: "5"}, spec: {nodeName: n1}}`),
	} {
		d.Set.Open(k)
		d.Set.Deliver(k, []api.Event{{Type: api.Added, Object: o, Revision: 5}, {Type: api.Bookmark, Revision: 5, InitialEnd: true}})
	}
	for _, row := range []struct {
		live   string
		writes int
	}{{"", 0}, {taint, 2}} {
		s.node = node(row.live)
		if _, err := c.Reconcile(t.Context(), api.Key{Namespace: "default", Name: "a"}); err != nil || len(s.writes) != row.writes {
			t.Errorf("taints [%s]: %d writes, error %v", row.live, len(s.writes), err)
		}
	}
}
