package why

import (
	"bytes"
	"context"
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"

	"optimist/internal/api"
)

const (
	maxPods  = 20              // that are looked at in detail: of more than that, the causes are the same
	patience = 3 * time.Second // with whoever is asked over a kept connection
)

// Cluster is what facts are gathered from.
type Cluster struct {
	api.Service
	Listen func(ctx context.Context, t api.Target, params url.Values) ([]byte, error) // all that a target has to say
	Home   string                                                                     // see Facts
	Start  string
	Parts  bool
	Mend   map[string]string
}

// gathering is facts on their way. What cannot be learnt is left out: the diagnosis then rests on the rest.
type gathering struct {
	Cluster
	*Facts
	seen  map[types.UID]bool
	asked map[string]bool
}

// Gather reads an object and everything that bears on how it is.
func Gather(ctx context.Context, c Cluster, t api.Target) (*Facts, api.Object, error) {
	found, err := c.Get(ctx, t, api.GetOptions{})
	if err != nil {
		return nil, nil, err
	}
	g := &gathering{c, &Facts{Now: time.Now(), Home: c.Home, Start: c.Start, Parts: c.Parts, Mend: c.Mend, Logs: map[string][]string{}, Matrix: map[string]*Matrix{}}, map[types.UID]bool{}, map[string]bool{}}
	g.add(found.Object)
	for _, component := range []string{"scheduler", "controllers"} {
		_, _ = g.ask(ctx, component, api.Target{Kind: api.ComponentStatusKind, Key: api.Key{Name: component}, Sub: "decisions"}, url.Values{"object": {"none"}})
	}
	g.around(ctx, found.Object)
	pods := every(g.Facts, func(*corev1.Pod) bool { return true })
	slices.SortStableFunc(pods, func(a, b *corev1.Pod) int { return fine(a) - fine(b) })
	for _, p := range pods[:min(len(pods), maxPods)] {
		if fine(p) == 0 {
			g.pod(ctx, p)
		}
		g.node(ctx, p.Spec.NodeName)
	}
	return g.Facts, found.Object, nil
}

// fine is 0 for the pods to look at first.
func fine(p *corev1.Pod) int {
	if podReady(p) && p.DeletionTimestamp == nil {
		return 1
	}
	return 0
}

func (g *gathering) add(objects ...api.Object) {
	for _, o := range objects {
		if !g.seen[o.GetUID()] {
			g.seen[o.GetUID()] = true
			g.Objects = append(g.Objects, o)
		}
	}
}

// list adds all objects of a kind that are selected.
func (g *gathering) list(ctx context.Context, kind *api.Kind, namespace string, o api.ListOptions) (found []api.Object) {
	l, err := g.List(ctx, api.Target{Kind: kind, Key: api.Key{Namespace: namespace}}, o)
	if err == nil {
		g.add(l.Items...)
	}
	return l.Items
}

// read adds one object, if it is there.
func (g *gathering) read(ctx context.Context, kind *api.Kind, key api.Key) api.Object {
	found, err := g.Get(ctx, api.Target{Kind: kind, Key: key}, api.GetOptions{})
	if err != nil {
		return nil
	}
	g.add(found.Object)
	return found.Object
}

// ask notes who cannot be asked.
func (g *gathering) ask(ctx context.Context, who string, t api.Target, params url.Values) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	answer, err := g.Listen(ctx, t, params)
	if apierrors.IsServiceUnavailable(err) && !g.absent(who) {
		g.Absent = append(g.Absent, who)
	}
	return answer, err
}

// around adds what an object belongs to and what belongs to it.
func (g *gathering) around(ctx context.Context, o api.Object) {
	switch o := o.(type) {
	case *corev1.Namespace:
		if o.DeletionTimestamp != nil {
			g.namespace(ctx, o.Name)
		}
	case *corev1.Node:
		g.node(ctx, o.Name)
	case *appsv1.Deployment:
		g.family(ctx, o.Namespace, o.Spec.Selector)
	case *appsv1.ReplicaSet:
		if d := g.owner(ctx, o); d != nil {
			g.around(ctx, d)
			return
		}
		g.family(ctx, o.Namespace, o.Spec.Selector)
	case *corev1.Pod:
		if set := g.owner(ctx, o); set != nil {
			if d := g.owner(ctx, set); d != nil {
				g.list(ctx, api.ReplicaSetKind, o.Namespace, selected(d.(*appsv1.Deployment).Spec.Selector))
			}
		}
	}
}

func (g *gathering) family(ctx context.Context, namespace string, selector *metav1.LabelSelector) {
	g.list(ctx, api.ReplicaSetKind, namespace, selected(selector))
	g.list(ctx, api.PodKind, namespace, selected(selector))
}

func selected(by *metav1.LabelSelector) api.ListOptions {
	selector, _ := metav1.LabelSelectorAsSelector(by) // the API server has accepted it
	return api.ListOptions{Selector: selector}
}

// owner reads the ReplicaSet or Deployment to which an object belongs.
func (g *gathering) owner(ctx context.Context, o api.Object) api.Object {
	ref := metav1.GetControllerOf(o)
	if ref == nil {
		return nil
	}
	for _, kind := range []*api.Kind{api.ReplicaSetKind, api.DeploymentKind} {
		if ref.Kind == kind.Name {
			return g.read(ctx, kind, api.Key{Namespace: o.GetNamespace(), Name: ref.Name})
		}
	}
	return nil
}

func (g *gathering) namespace(ctx context.Context, name string) {
	for _, kind := range api.Builtin.Kept() {
		if kind.Namespaced && !kind.Is(api.EventKind) {
			g.list(ctx, kind, name, api.ListOptions{Limit: 50})
		}
	}
}

// pod adds what tells why a pod is not ready.
func (g *gathering) pod(ctx context.Context, p *corev1.Pod) {
	g.list(ctx, api.EventKind, p.Namespace, api.ListOptions{Fields: fields.OneTermEqualSelector("involvedObject.uid", string(p.UID))})
	if waiting(p) {
		g.matrix(ctx, p)
		return
	}
	for _, s := range slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses) {
		t := trouble{pod: p, status: s}
		if reason, message := t.waits(); strings.Contains(reason, "Image") {
			g.images(ctx, p)
			if strings.Contains(message, "login") {
				g.list(ctx, api.SecretKind, p.Namespace, api.ListOptions{})
			}
		}
		if t.ended() != nil {
			g.log(ctx, p, s)
		}
	}
}

func (g *gathering) log(ctx context.Context, p *corev1.Pod, s corev1.ContainerStatus) {
	params := url.Values{"container": {s.Name}, "tailLines": {"5"}}
	if s.State.Running != nil {
		params.Set("previous", "true")
	}
	text, err := g.ask(ctx, "node/"+p.Spec.NodeName, api.Target{Kind: api.PodKind, Key: api.KeyOf(p), Sub: "log"}, params)
	if err != nil {
		return
	}
	for line := range bytes.Lines(text) {
		g.Logs[p.Name+"/"+s.Name] = append(g.Logs[p.Name+"/"+s.Name], strings.TrimRight(string(line), "\r\n"))
	}
}

func (g *gathering) images(ctx context.Context, p *corev1.Pod) {
	if g.asked["images"] {
		return
	}
	g.asked["images"] = true
	text, err := g.ask(ctx, "node/"+p.Spec.NodeName, api.Target{Kind: api.NodeKind, Key: api.Key{Name: p.Spec.NodeName}, Sub: "images"}, url.Values{"stdout": {"true"}})
	var all []struct{ Tags []string }
	if err != nil || json.Unmarshal(text, &all) != nil {
		return
	}
	for _, image := range all {
		g.Images = append(g.Images, image.Tags...)
	}
}

// matrix asks the scheduler, and adds the nodes that it speaks of and the pods that might have to go.
func (g *gathering) matrix(ctx context.Context, p *corev1.Pod) {
	if len(p.Spec.SchedulingGates) > 0 {
		return
	}
	text, err := g.ask(ctx, "scheduler", api.Target{Kind: api.ComponentStatusKind, Key: api.Key{Name: "scheduler"}, Sub: "explain"}, url.Values{"pod": {api.KeyOf(p).String()}})
	m := &Matrix{}
	if err != nil || json.Unmarshal(text, m) != nil {
		return
	}
	g.Matrix[p.Name] = m
	for i, r := range m.Rows {
		g.node(ctx, r.Node)
		for _, fix := range r.Fixes {
			for _, key := range fix.Pods {
				if namespace, pod, _ := strings.Cut(key, "/"); i == 0 {
					if other := g.read(ctx, api.PodKind, api.Key{Namespace: namespace, Name: pod}); other != nil {
						g.around(ctx, other)
					}
				}
			}
		}
	}
}

// node adds a node, its lease, and whether its agent keeps a connection.
func (g *gathering) node(ctx context.Context, name string) {
	if name == "" || g.asked[name] {
		return
	}
	g.asked[name] = true
	if g.read(ctx, api.NodeKind, api.Key{Name: name}) == nil {
		return
	}
	g.read(ctx, api.LeaseKind, api.Key{Namespace: corev1.NamespaceNodeLease, Name: name})
	_, _ = g.ask(ctx, "node/"+name, api.Target{Kind: api.NodeKind, Key: api.Key{Name: name}, Sub: "log"}, url.Values{"tailLines": {"0"}})
}
