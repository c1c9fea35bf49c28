package registry_test

import (
	"context"
	"net/netip"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"optimist/apiserver/registry"
	"optimist/apiserver/registry/kinds"
	"optimist/apiserver/store"
	"optimist/apiserver/store/memory"
	"optimist/internal/api"
	"optimist/internal/api/apitest"
)

func TestService(t *testing.T) {
	apitest.Run(t, func(t *testing.T) api.Service { return open(t, registry.Options{}) })
}

// open runs a registry with all kinds over an empty store until the test ends.
func open(t *testing.T, o registry.Options) *registry.Registry {
	t.Helper()
	return openOver(t, memory.New(), o)
}

func openOver(t *testing.T, s store.Store, o registry.Options) *registry.Registry {
	t.Helper()
	o.Rules = kinds.All()
	o.Ranges = registry.Ranges{ClusterCIDR: netip.MustParsePrefix("10.244.0.0/16"), NodeBits: 24, ServiceCIDR: netip.MustParsePrefix("10.96.0.0/16")}
	r, err := registry.New(s, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Bootstrap(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return r
}

// Who may list pods/status may not list pods.
func TestASubresourceIsNoCollection(t *testing.T) {
	r, target := open(t, registry.Options{}), api.Target{Kind: api.PodKind, Key: api.Key{Namespace: "default"}, Sub: "status"}
	_, list := r.List(t.Context(), target, api.ListOptions{})
	_, watch := r.Watch(t.Context(), target, api.WatchOptions{Initial: true})
	_, remove := r.Write(t.Context(), api.Request{Target: target, Verb: api.VerbDeleteCollection})
	for _, err := range []error{list, watch, remove} {
		if !apierrors.IsMethodNotSupported(err) {
			t.Errorf("got %v", err)
		}
	}
}
