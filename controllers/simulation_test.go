package controllers

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"optimist/apiserver/registry"
	"optimist/apiserver/registry/kinds"
	"optimist/apiserver/store/memory"
	"optimist/internal/api"
	"optimist/internal/event"
	"optimist/internal/informer"
	"optimist/internal/reconcile"
)

// world drives the synchronous cores of everything (law 11) from one goroutine, in an order that follows from a seed.
type world struct {
	cluster
	set   *informer.Set
	loops []*reconcile.Loop
	told  map[*api.Kind]map[api.Key]api.Object // what the watches have told
	steps []string                             // what the controllers have written
	dice  *rand.Rand
}

func newWorld(t *testing.T, svc api.Service, seed uint64) *world {
	w := &world{cluster: cluster{t, svc}, set: informer.NewSet(svc), told: map[*api.Kind]map[api.Key]api.Object{}, dice: rand.New(rand.NewPCG(seed, 3))}
	deps := func(name string) reconcile.Deps {
		return reconcile.Deps{Set: w.set, Service: w.set.Over(noting{svc, name, w}), Events: event.NewRecorder(nil, name, ""), Log: slog.New(slog.DiscardHandler)}
	}
	for _, c := range All(deps) {
		w.loops = append(w.loops, reconcile.NewLoop(c, deps(c.Name)))
	}
	for _, k := range w.set.Kinds() {
		w.told[k] = map[api.Key]api.Object{}
		w.set.Open(k)
		w.deliver(k, true)
	}
	return w
}

// numbered gives uids in order instead of by chance: names follow from them.
type numbered struct{ n int }

func (m *numbered) Mutate(_ context.Context, r api.Request, object, old api.Object) error {
	if r.Verb == api.VerbCreate && object != nil && old == nil {
		m.n++
		object.SetUID(types.UID(fmt.Sprint("uid-", m.n)))
	}
	return nil
}

// noting takes down what a controller writes.
type noting struct {
	api.Service
	name string
	w    *world
}

func (n noting) Write(ctx context.Context, r api.Request) (api.Result, error) {
	result, err := n.Service.Write(ctx, r)
	if err == nil && r.Verb == api.VerbCreate {
		n.w.told[r.Kind][r.Key] = result.Object // so that its end is told even if its beginning was not
	}
	n.w.steps = append(n.w.steps, fmt.Sprint(n.name, " ", r.Verb, " ", r.Kind, "/", r.Sub, " ", r.Key, " failed: ", err != nil))
	return result, err
}

// deliver tells what has changed of a kind since it was last told.
func (w *world) deliver(k *api.Kind, initial bool) {
	l, err := w.svc.List(w.Context(), api.Target{Kind: k}, api.ListOptions{})
	if err != nil {
		w.Fatal(err)
	}
	var events []api.Event
	now := map[api.Key]api.Object{}
	for _, o := range l.Items {
		key := api.KeyOf(o)
		now[key] = o
		if old := w.told[k][key]; old == nil || old.GetResourceVersion() != o.GetResourceVersion() {
			events = append(events, api.Event{Type: api.Modified, Object: o, Revision: api.RevisionOf(o)})
		}
	}
	for key, old := range w.told[k] {
		if now[key] == nil {
			events = append(events, api.Event{Type: api.Deleted, Object: old, Revision: l.Revision})
		}
	}
	slices.SortFunc(events, func(a, b api.Event) int {
		return cmp.Or(cmp.Compare(a.Revision, b.Revision), cmp.Compare(api.KeyOf(a.Object).String(), api.KeyOf(b.Object).String()))
	})
	w.told[k] = now
	w.set.Deliver(k, append(events, api.Event{Type: api.Bookmark, Revision: l.Revision, InitialEnd: initial}))
}

func (w *world) deliverAll() {
	for _, k := range w.set.Kinds() {
		w.deliver(k, false)
	}
}

func (w *world) step(l *reconcile.Loop) bool {
	if w.set.Unsure() {
		w.deliverAll() // else Step would wait for it
	}
	return l.Step(w.Context())
}

// tend does a kubelet's work on one Pod and reports whether there was any.
func (w *world) tend(p *corev1.Pod) bool {
	switch {
	case p.DeletionTimestamp != nil:
		if err := api.Pods.Delete(w.Context(), w.svc, api.KeyOf(p), api.Options{Grace: new(int64)}); err != nil {
			w.Fatal(err)
		}
	case p.Status.Phase != corev1.PodRunning:
		patch := fmt.Sprintf(ready, time.Now().UTC().Format(time.RFC3339))
		if _, err := api.Pods.Patch(w.Context(), w.svc, api.KeyOf(p), "status", types.StrategicMergePatchType, []byte(patch)); err != nil {
			w.Fatal(err)
		}
	default:
		return false
	}
	return true
}

// happen lets one thing happen.
func (w *world) happen() {
	pods := list(w.cluster, api.Pods, "default")
	slices.SortFunc(pods, func(a, b *corev1.Pod) int {
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(api.RevisionOf(a), api.RevisionOf(b)))
	})
	switch n := w.dice.IntN(100); {
	case n < 40:
		w.step(w.loops[w.dice.IntN(len(w.loops))])
	case n < 70:
		w.deliver(w.set.Kinds()[w.dice.IntN(len(w.set.Kinds()))], false)
	case n < 90 && len(pods) > 0:
		w.tend(pods[w.dice.IntN(len(pods))])
	case n < 93 && len(pods) > 0:
		if err := api.Pods.Delete(w.Context(), w.svc, api.KeyOf(pods[w.dice.IntN(len(pods))]), api.Options{}); err != nil {
			w.Fatal(err)
		}
	case n < 95:
		w.patch(api.DeploymentKind, "web", fmt.Sprintf(`{"spec":{"replicas":%d}}`, w.dice.IntN(6)))
	case n < 97:
		w.patch(api.DeploymentKind, "web", fmt.Sprintf(`{"spec":{"template":{"spec":{"containers":[{"name":"web","image":"web:%d"}]}}}}`, w.dice.IntN(3)))
	default:
		time.Sleep(time.Duration(w.dice.IntN(2000)) * time.Millisecond)
	}
}

// settle lets everything happen until nothing does any more.
func (w *world) settle() {
	for quiet := 0; quiet < 3; quiet++ {
		w.deliverAll()
		for _, l := range w.loops {
			for w.step(l) {
				quiet = 0
			}
		}
		for _, p := range list(w.cluster, api.Pods, "default") {
			if w.tend(p) {
				quiet = 0
			}
		}
		time.Sleep(time.Second)
	}
}

// simulate lives through a seed's history and returns what the controllers did.
func simulate(t *testing.T, seed uint64) (steps []string) {
	t.Setenv("OPTIMIST_DETECT_MUTATIONS", "1")
	synctest.Test(t, func(t *testing.T) {
		s := memory.New()
		defer s.Close()
		svc, err := registry.New(s, registry.Options{Rules: kinds.All(), Mutators: []registry.Mutator{&numbered{}}})
		if err == nil {
			err = svc.Bootstrap(t.Context())
		}
		if err != nil {
			t.Fatal(err)
		}
		w := newWorld(t, svc, seed)
		w.apply(web)
		for range 300 {
			w.happen()
		}
		w.settle()
		w.available(*w.deployment().Spec.Replicas)
		steps = w.steps
	})
	return steps
}

// Whatever order things happen in, the Deployment ends up complete; and the same seed tells the same story, so that a bug can be replayed.
func TestSimulation(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			first, second := simulate(t, seed), simulate(t, seed)
			if !slices.Equal(first, second) {
				t.Fatalf("two runs of one seed differ:\n%q\n%q", first, second)
			}
			if len(first) < 10 {
				t.Fatal("hardly anything happened:", first)
			}
		})
	}
}
