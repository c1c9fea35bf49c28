package grpc_test

import (
	"context"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"optimist/internal/api"
	"optimist/internal/client"
)

// Who shows a token has so many calls under way and no more; others have theirs, and what has ended counts no longer.
func TestTokensHavePlaces(t *testing.T) {
	const own = 200
	w := build(t, records(t))
	greedy, modest := dial(t, client.Config{Server: w.addr, CA: w.ca.PEM, Token: "greedy"}), dial(t, client.Config{Server: w.addr, CA: w.ca.PEM, Token: "modest"})
	maps := api.Target{Kind: api.ConfigMapKind, Version: "v1"}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for range own {
		if _, err := greedy.Watch(ctx, maps, api.WatchOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := greedy.Watch(ctx, maps, api.WatchOptions{}); !apierrors.IsTooManyRequests(err) {
		t.Errorf("one more: %v", err)
	}
	if _, err := modest.List(t.Context(), maps, api.ListOptions{}); err != nil {
		t.Errorf("another: %v", err)
	}
	cancel()
	for {
		_, err := greedy.List(t.Context(), maps, api.ListOptions{})
		if err == nil {
			break
		}
		if !apierrors.IsTooManyRequests(err) {
			t.Fatal(err)
		}
	}
}
