package proxy

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"sigs.k8s.io/yaml"

	"optimist/internal/api"
	"optimist/internal/informer"
)

// fake is a Table as strict as the kernel: what is deleted must be there, what is added must not.
type fake struct {
	mu     sync.Mutex
	m      Model
	broken bool // the next write fails
}

var _ Table = (*fake)(nil)

func (f *fake) Write(d Delta, anew bool) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.broken {
		f.broken = false
		return errors.New("broken")
	}
	if anew {
		f.m, d.Delete = Model{}, nil
	}
	for e, v := range d.Delete {
		if had, ok := f.m[e]; !ok || had != v {
			return fmt.Errorf("delete %v: there is %q, not %q", e, had, v)
		}
		delete(f.m, e)
	}
	for e, v := range d.Add {
		if _, ok := f.m[e]; ok {
			return fmt.Errorf("add %v: there already", e)
		}
		f.m[e] = v
	}
	return nil
}

func (f *fake) Intact(m Model) (bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Equal(f.m, m), nil
}

// harm is done by somebody else.
func (f *fake) harm(m Model, broken bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.m, f.broken = m, broken
}

func (f *fake) Forget(map[string]bool) error { return nil }

func (f *fake) Remove() error { f.m = nil; return nil }

// cluster is what the API server knows, told to a Proxy.
type cluster struct {
	set      *informer.Set
	proxy    *Proxy
	revision api.Revision
	known    map[*api.Kind]map[api.Key]api.Object
}

func newCluster(table Table, node string) *cluster {
	c := &cluster{set: informer.NewSet(nil), known: map[*api.Kind]map[api.Key]api.Object{}}
	c.restart(table, node)
	return c
}

// restart has a new agent's Proxy learn everything.
func (c *cluster) restart(table Table, node string) {
	c.set = informer.NewSet(nil)
	c.proxy = New(table, c.set, node, netip.MustParseAddr("10.96.0.10"), slog.New(slog.DiscardHandler))
	for _, k := range []*api.Kind{api.ServiceKind, api.EndpointSliceKind, api.PodKind} {
		c.set.Open(k)
		c.set.Deliver(k, []api.Event{{Type: api.Bookmark, Revision: 1, InitialEnd: true}})
		for _, o := range c.known[k] {
			c.tell(k, api.Added, o)
		}
	}
}

func (c *cluster) tell(k *api.Kind, what api.EventType, o api.Object) {
	c.revision++
	o.SetResourceVersion((c.revision + 1).String())
	c.set.Deliver(k, []api.Event{{Type: what, Object: o, Revision: c.revision + 1}})
}

// put tells of objects that are new or changed; delete of those that are gone.
func (c *cluster) put(objects ...api.Object) {
	for _, o := range objects {
		k := kindOf(o)
		if c.known[k] == nil {
			c.known[k] = map[api.Key]api.Object{}
		}
		what := api.Modified
		if c.known[k][api.KeyOf(o)] == nil {
			what = api.Added
		}
		c.known[k][api.KeyOf(o)] = o
		c.tell(k, what, o)
	}
}

func (c *cluster) delete(objects ...api.Object) {
	for _, o := range objects {
		delete(c.known[kindOf(o)], api.KeyOf(o))
		c.tell(kindOf(o), api.Deleted, o)
	}
}

func kindOf(o api.Object) *api.Kind {
	switch o.(type) {
	case *corev1.Service:
		return api.ServiceKind
	case *corev1.Pod:
		return api.PodKind
	}
	return api.EndpointSliceKind
}

// service has address 10.96.0.5 and a port 80, by TCP and UDP; spec is the rest of it.
func service(name, spec string) *corev1.Service {
	s := decode("{ports: [{name: t, port: 80, protocol: TCP}, {name: u, port: 80, protocol: UDP}]}", spec)
	s.Namespace, s.Name = "default", name
	if s.Spec.ClusterIP == "" {
		s.Spec.ClusterIP = "10.96.0.5"
	}
	return s
}

func decode(base, spec string) *corev1.Service {
	s := &corev1.Service{}
	if err := errors.Join(yaml.UnmarshalStrict([]byte("{spec: "+base+"}"), s), yaml.UnmarshalStrict([]byte(spec), s)); err != nil {
		panic(err)
	}
	return s
}

func slice(text string) *discoveryv1.EndpointSlice {
	s := &discoveryv1.EndpointSlice{}
	if err := yaml.UnmarshalStrict([]byte(text), s); err != nil {
		panic(err)
	}
	return s
}

// backends is the Service's EndpointSlice: words of place[:condition].
func backends(service, places string) *discoveryv1.EndpointSlice {
	s := &discoveryv1.EndpointSlice{AddressType: discoveryv1.AddressTypeIPv4}
	s.Namespace, s.Name, s.Labels = "default", service+"-1", map[string]string{discoveryv1.LabelServiceName: service}
	for name, protocol := range map[string]corev1.Protocol{"t": "TCP", "u": "UDP"} {
		s.Ports = append(s.Ports, discoveryv1.EndpointPort{Name: &name, Protocol: &protocol, Port: new(int32(8080))})
	}
	for _, word := range strings.Fields(places) {
		place, state, _ := strings.Cut(word, ":")
		node := map[bool]string{true: "n2", false: "n1"}[place == "far"]
		ip := map[string]string{"a": "10.244.1.2", "b": "10.244.1.3", "c": "10.244.1.4", "far": "10.244.2.2"}[place]
		ready, terminating := state == "", state == "terminating"
		serving := ready || terminating
		s.Endpoints = append(s.Endpoints, discoveryv1.Endpoint{Addresses: []string{ip}, NodeName: &node,
			Conditions: discoveryv1.EndpointConditions{Ready: &ready, Serving: &serving, Terminating: &terminating}})
	}
	return s
}

// exposed is a pod at a place whose container has these ports.
func exposed(place, ip, ports string) *corev1.Pod {
	p := &corev1.Pod{}
	if err := yaml.UnmarshalStrict([]byte("{spec: {nodeName: n1, containers: [{name: c, ports: ["+ports+"]}]}}"), p); err != nil {
		panic(err)
	}
	p.Namespace, p.Name, p.Status.PodIP = "default", place, ip
	return p
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
