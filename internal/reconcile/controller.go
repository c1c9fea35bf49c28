package reconcile

import (
	"context"
	"log/slog"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"optimist/internal/api"
	"optimist/internal/event"
	"optimist/internal/informer"
)

// Controller is the declaration of one loop. Its role on the server is generated from it (law 5).
type Controller struct {
	Name      string
	For       *api.Kind   // a key is one of these; nil = Watches alone say what keys mean
	Owns      []*api.Kind // changes of these lead to the key of their controller
	Watches   []Watch     // other ways from a change to keys
	Writes    []Grant
	Reconcile func(ctx context.Context, key api.Key) (again time.Duration, err error)
	Workers   int // 0 = 1
}

// Watch maps a change to the keys that have to be looked at. before or after is nil where the object did not exist.
type Watch struct {
	Kind *api.Kind
	Map  func(before, after api.Object) []api.Key
}

// Grant is something that a controller may do.
type Grant struct {
	Kind  *api.Kind // nil = any
	Sub   string
	Verbs []api.Verb
}

// Deps is what a controller is given.
type Deps struct {
	Set       *informer.Set
	Service   api.Service // as this controller, and laid over Set
	Events    *event.Recorder
	Log       *slog.Logger
	Decisions *Decisions // nil = not kept
}

// ControllerOf is the key of the object of a kind that controls o.
func ControllerOf(k *api.Kind, o api.Object) (api.Key, bool) {
	ref := metav1.GetControllerOfNoCopy(o)
	if ref == nil || k.GVK("").GroupKind() != groupKind(*ref) {
		return api.Key{}, false
	}
	key := api.Key{Name: ref.Name}
	if k.Namespaced {
		key.Namespace = o.GetNamespace()
	}
	return key, true
}
