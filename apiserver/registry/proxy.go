package registry

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"net/url"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/labels"
	utilnet "k8s.io/apimachinery/pkg/util/net"

	"optimist/internal/api"
)

// proxied finds the port behind [SCHEME:]NAME[:PORT] of a pod, Service or node: who answers for it, and as whose port.
func (r *Registry) proxied(ctx context.Context, k *resource, t api.Target) (string, api.Target, url.Values, error) {
	scheme, name, port, ok := utilnet.SplitSchemeNamePort(t.Key.Name)
	if !ok {
		return "", t, nil, apierrors.NewBadRequest(fmt.Sprintf("invalid %s request %q: want NAME, NAME:PORT or https:NAME:PORT", k.Singular, t.Key.Name))
	}
	t.Key.Name = name
	o, err := r.connected(ctx, k, t)
	if err != nil {
		return "", t, nil, err
	}
	switch o := o.(type) {
	case *corev1.Node:
		return api.NodePrefix + name, t, url.Values{"port": {port}}, nil
	case *corev1.Service:
		if name, port, err = r.endpoint(ctx, o, port); err != nil {
			return "", t, nil, err
		}
		t = api.Target{Kind: api.PodKind, Key: api.Key{Namespace: t.Key.Namespace, Name: name}, Sub: t.Sub}
		pod, err := r.Get(ctx, api.Target{Kind: api.PodKind, Key: t.Key}, api.GetOptions{})
		if err != nil {
			return "", t, nil, err
		}
		component, params, err := podRoute(pod.Object.(*corev1.Pod), t.Sub, url.Values{"port": {port}})
		return component, t, params, err
	case *corev1.Pod:
		component, params, err := podRoute(o, t.Sub, url.Values{"port": {cmp.Or(port, firstPort(o, scheme))}})
		return component, t, params, err
	}
	return "", t, nil, apierrors.NewMethodNotSupported(k.Resource(), "connect to proxy")
}

// firstPort is what a pod is asked on when nobody names a port: the first that a container tells of, else the scheme's.
func firstPort(pod *corev1.Pod, scheme string) string {
	for _, c := range pod.Spec.Containers {
		if len(c.Ports) > 0 {
			return strconv.Itoa(int(c.Ports[0].ContainerPort))
		}
	}
	if scheme == "https" {
		return "443"
	}
	return "80"
}

// endpoint chooses among the pods that are ready behind a Service's port (its name or number; "" = the only one).
func (r *Registry) endpoint(ctx context.Context, svc *corev1.Service, port string) (pod, number string, err error) {
	var named *string
	for _, p := range svc.Spec.Ports {
		if port == "" && len(svc.Spec.Ports) == 1 || port != "" && (port == p.Name || port == strconv.Itoa(int(p.Port))) {
			named = &p.Name
		}
	}
	if named == nil {
		return "", "", apierrors.NewServiceUnavailable(fmt.Sprintf("no service port %q found for service %q", port, svc.Name))
	}
	slices, err := r.List(ctx, api.Target{Kind: api.EndpointSliceKind, Key: api.Key{Namespace: svc.Namespace}},
		api.ListOptions{Selector: labels.SelectorFromSet(labels.Set{discoveryv1.LabelServiceName: svc.Name})})
	if err != nil {
		return "", "", err
	}
	type choice struct{ pod, port string }
	var found []choice
	for _, o := range slices.Items {
		slice := o.(*discoveryv1.EndpointSlice)
		for _, p := range slice.Ports {
			for _, e := range slice.Endpoints {
				if p.Port != nil && (p.Name == nil && *named == "" || p.Name != nil && *p.Name == *named) && (e.Conditions.Ready == nil || *e.Conditions.Ready) &&
					e.TargetRef != nil && e.TargetRef.Kind == "Pod" {
					found = append(found, choice{e.TargetRef.Name, strconv.Itoa(int(*p.Port))})
				}
			}
		}
	}
	if len(found) == 0 {
		return "", "", apierrors.NewServiceUnavailable(fmt.Sprintf("no endpoints available for service %q", svc.Name))
	}
	c := found[rand.IntN(len(found))]
	return c.pod, c.port, nil
}
