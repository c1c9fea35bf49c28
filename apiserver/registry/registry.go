package registry

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"optimist/apiserver/store"
	"optimist/internal/api"
)

var _ api.Service = (*Registry)(nil)

// Registry implements api.Service over a store, without asking who may do what: package auth does that in front of it.
type Registry struct {
	store      store.Store
	options    Options
	resources  map[schema.GroupKind]*resource
	namespaces *facts[corev1.NamespacePhase]
	epochs     *facts[epoch]
}

// New returns a registry for all kinds of the catalogue; a kind without Rules has nothing peculiar.
func New(s store.Store, o Options) (*Registry, error) {
	if o.Catalogue == nil {
		o.Catalogue = api.Builtin
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	r := &Registry{store: s, options: o, resources: map[schema.GroupKind]*resource{}}
	r.namespaces = newFacts(r.readNamespace)
	r.epochs = newFacts(r.readEpoch)
	for _, k := range o.Catalogue.All() {
		if k.Stored == nil {
			r.resources[k.GroupKind()] = newResource(k, Rules{Kind: k}, o.Cipher)
		}
	}
	for _, rules := range o.Rules {
		k := rules.Kind
		if r.resources[k.GroupKind()] == nil {
			return nil, fmt.Errorf("rules for %s, which is not in the catalogue", k)
		}
		r.resources[k.GroupKind()] = newResource(k, rules, o.Cipher)
	}
	for _, k := range o.Catalogue.All() {
		if k.Stored != nil {
			same := *r.resources[k.Stored.GroupKind()]
			same.Kind, r.resources[k.GroupKind()] = k, &same
		}
	}
	return r, nil
}

func (r *Registry) resource(t api.Target) (*resource, error) {
	if t.Kind == nil {
		return nil, apierrors.NewBadRequest("the request names no kind")
	}
	k := r.resources[t.Kind.GroupKind()]
	switch {
	case k == nil:
		return nil, apierrors.NewBadRequest(fmt.Sprintf("the server does not know the kind %s", t.Kind.GroupKind()))
	case !k.served(t.Version):
		_, err := k.New(t.Version)
		return nil, err
	case !k.HasSub(t.Sub):
		return nil, apierrors.NewNotFound(k.Resource(), t.Key.Name+"/"+t.Sub)
	}
	return k, nil
}

// stored is resource for what needs more than Connect.
func (r *Registry) stored(t api.Target, v api.Verb) (*resource, error) {
	k, err := r.resource(t)
	many := v == api.VerbList || v == api.VerbWatch || v == api.VerbDeleteCollection
	if err == nil && (k.Virtual || many && t.Sub != "") { // whoever may list pods/status may not list pods
		return nil, apierrors.NewMethodNotSupported(k.Resource(), string(v))
	}
	return k, err
}

// Now returns the newest revision, and makes the open watches catch up with it.
func (r *Registry) Now(ctx context.Context) (api.Revision, error) {
	now, err := r.store.Now(ctx)
	if err == nil {
		err = r.store.Progress(ctx)
	}
	return api.Revision(now), storeError(err)
}

// Options set a registry up.
type Options struct {
	Catalogue *api.Catalogue // nil = api.Builtin
	Rules     []Rules        // package kinds: kinds.All()
	Mutators  []Mutator
	Checkers  []Checker
	Cipher    Cipher // nil: everything is stored in plain text
	Dialer    Dialer // nil: Connect answers that nobody is there
	Ranges    Ranges
	Log       *slog.Logger // nil = slog.Default()
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
