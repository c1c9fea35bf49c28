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
type writer func(ctx context.Context, p *page, o api.Object)

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

func typed[T api.Object](f func(context.Context, *page, T)) writer {
	return func(ctx context.Context, p *page, o api.Object) { f(ctx, p, o.(T)) }
}

// Describe returns the description of an object, with its events.
func Describe(ctx context.Context, c Cluster, k *api.Kind, o api.Object) string {
	p := &page{Cluster: c}
	if write := writers[api.Builtin.Kind(k.GroupKind())]; write != nil {
		write(ctx, p, o)
	} else {
		fieldByField(p, k, o)
	}
	if !k.Is(api.EventKind) {
		events(ctx, p, k, o)
	}
	return p.String()
}
