package describe

import (
	"context"
	"slices"
	"time"

	"optimist/internal/api"
)

// Cluster is where a description looks things up, and when it is made.
type Cluster struct {
	api.Service
	At time.Time
}

// describer describes one kind. The object belongs to the service: read only.
type describer func(ctx context.Context, c Cluster, o api.Object) rows

// describers has the kinds that are described in words; others are printed field by field.
var describers = map[*api.Kind]describer{
	api.PodKind:        typed(pod),
	api.NodeKind:       typed(node),
	api.DeploymentKind: typed(deployment),
	api.ReplicaSetKind: typed(replicaSet),
	api.ServiceKind:    typed(service),
	api.NamespaceKind:  typed(namespace),
	api.ConfigMapKind:  typed(configMap),
	api.SecretKind:     typed(secret),
}

func typed[T api.Object](f func(context.Context, Cluster, T) rows) describer {
	return func(ctx context.Context, c Cluster, o api.Object) rows { return f(ctx, c, o.(T)) }
}

// Describe returns the description of an object, with its events.
func Describe(ctx context.Context, c Cluster, k *api.Kind, o api.Object) string {
	r := fieldByField(k, o)
	if describe := describers[api.Builtin.Kind(k.GroupKind())]; describe != nil {
		r = describe(ctx, c, o)
	}
	if !k.Is(api.EventKind) {
		r = slices.Concat(r, c.events(ctx, k, o))
	}
	return r.String()
}
