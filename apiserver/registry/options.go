package registry

import (
	"context"
	"log/slog"
	"net/netip"
	"time"

	"optimist/internal/api"
)

// Options set a registry up.
type Options struct {
	Catalogue *api.Catalogue // nil = api.Builtin
	Rules     []Rules        // package kinds: kinds.All()
	Mutators  []Mutator
	Checkers  []Checker
	Dialer    Dialer // nil: Connect answers that nobody is there
	Ranges    Ranges
	Log       *slog.Logger  // nil = slog.Default()
	History   time.Duration // how long superseded states stay readable; 0 = one hour
}

// Ranges are the cluster's address ranges.
type Ranges struct {
	ClusterCIDR netip.Prefix // pods'; each Node claims a part of it
	NodeBits    int          // the size of such a part as a prefix length: 24
	ServiceCIDR netip.Prefix
}

// Dialer finds the kept connection of a component: "system:node:n1", "system:scheduler", "system:controllers".
type Dialer interface {
	Dial(ctx context.Context, component string) (api.Connector, error)
}

// Mutator may change an object on its way in; Checker may refuse it. Both see every write, also deletes and connects, built-in ones first.
// object is nil for deletes, old is nil for creates. Neither runs inside the store's writer.
type Mutator interface {
	Mutate(ctx context.Context, r api.Request, object, old api.Object) error
}
type Checker interface {
	Check(ctx context.Context, r api.Request, object, old api.Object) error
}
