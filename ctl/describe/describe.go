package describe

import (
	"context"
	"time"

	"optimist/internal/api"
)

// Cluster is where a description looks things up, and when it is made.
type Cluster struct {
	api.Service
	At time.Time
}

// writer describes one kind. The object belongs to the service: read only.
type writer func(ctx context.Context, c Cluster, p *page, o api.Object)

// writers has the kinds that are described in words; others are printed field by field.
var writers = map[*api.Kind]writer{
	api.PodKind:        typed(pod),
	api.NodeKind:       typed(node),
	api.DeploymentKind: typed(deployment),
	api.ReplicaSetKind: typed(replicaSet),
	api.ServiceKind:    typed(service),
	api.NamespaceKind:  typed(namespace),
	api.ConfigMapKind:  typed(configMap),
	api.SecretKind:     typed(secret),
}

func typed[T api.Object](f func(context.Context, Cluster, *page, T)) writer {
	return func(ctx context.Context, c Cluster, p *page, o api.Object) { f(ctx, c, p, o.(T)) }
}

// Describe returns the description of an object, with its events.
func Describe(ctx context.Context, c Cluster, k *api.Kind, o api.Object) string {
	p := &page{now: c.At}
	if write := writers[api.Builtin.Kind(k.GroupKind())]; write != nil {
		write(ctx, c, p, o)
	} else {
		generic(p, k, o)
	}
	if !k.Is(api.EventKind) {
		events(ctx, c, p, k, o)
	}
	return p.String()
}
