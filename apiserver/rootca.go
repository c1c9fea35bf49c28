package apiserver

import (
	"context"
	"maps"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"

	"optimist/internal/api"
	"optimist/internal/informer"
	"optimist/internal/reconcile"
)

// rootCA names the ConfigMap by which pods know the API server; the volume that each has (package admission) mounts it.
const rootCA = "kube-root-ca.crt"

// publishCA keeps the cluster's CA certificate in every namespace until ctx ends. Real Kubernetes' controller manager does this, which has to be told
// the CA; here the one who has it does.
func (s *Server) publishCA(ctx context.Context) error {
	set := informer.NewSet(s.Service(own))
	set.Log = s.Log
	p := publisher{pem: string(s.CA.PEM), service: set.Over(s.Service(own)), namespaces: informer.Watch(set, api.Namespaces, informer.Options[*corev1.Namespace]{}),
		published: informer.Watch(set, api.ConfigMaps, informer.Options[*corev1.ConfigMap]{Fields: fields.OneTermEqualSelector("metadata.name", rootCA)})}
	toNamespace := func(before, after api.Object) []api.Key {
		if after == nil {
			after = before
		}
		return []api.Key{{Name: after.GetNamespace()}}
	}
	loop := reconcile.NewLoop(reconcile.Controller{For: api.NamespaceKind, Watches: []reconcile.Watch{{Kind: api.ConfigMapKind, Map: toNamespace}}, Reconcile: p.reconcile},
		reconcile.Deps{Set: set, Service: p.service, Log: s.Log})
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return set.Run(ctx) })
	g.Go(func() error { return loop.Run(ctx) })
	return g.Wait()
}

type publisher struct {
	pem        string
	service    api.Service // what it writes is laid over the caches
	namespaces informer.Reader[*corev1.Namespace]
	published  informer.Reader[*corev1.ConfigMap]
}

func (p publisher) reconcile(ctx context.Context, key api.Key) (time.Duration, error) {
	ns, ok := p.namespaces.Get(key)
	if !ok || ns.DeletionTimestamp != nil {
		return 0, nil
	}
	data := map[string]string{"ca.crt": p.pem}
	old, there := p.published.Get(api.Key{Namespace: ns.Name, Name: rootCA})
	switch {
	case !there:
		_, err := api.ConfigMaps.Create(ctx, p.service, &corev1.ConfigMap{Data: data, ObjectMeta: metav1.ObjectMeta{Namespace: ns.Name, Name: rootCA,
			Annotations: map[string]string{"kubernetes.io/description": "The CA by which programs in pods know the API server. The API server restores it."}}})
		return 0, err
	case maps.Equal(old.Data, data):
		return 0, nil
	}
	changed := old.DeepCopy()
	changed.Data, changed.BinaryData = data, nil
	_, err := api.ConfigMaps.Update(ctx, p.service, changed)
	return 0, err
}
