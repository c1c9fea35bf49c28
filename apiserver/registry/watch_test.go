package registry_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"optimist/apiserver/registry"
	"optimist/apiserver/store"
	"optimist/apiserver/store/memory"
	"optimist/internal/api"
	"optimist/internal/api/apitest"
)

func configMap(name string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}}
}

func mustCreate(t *testing.T, s api.Service, o *corev1.ConfigMap) *corev1.ConfigMap {
	t.Helper()
	got, err := api.ConfigMaps.Create(t.Context(), s, o)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// view is what a watcher knows.
type view map[string]string // name → resourceVersion

// follow folds a watch that begins with what exists until it has reached a revision, and checks that every event fits what was known.
func follow(t *testing.T, batches iter.Seq2[[]api.Event, error], to api.Revision) view {
	known := view{}
	var at api.Revision
	ready := false
	for batch, err := range batches {
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range batch {
			if e.Revision < at && at != 0 && e.Type != api.Added {
				t.Errorf("%s at %d after %d", e.Type, e.Revision, at)
			}
			at = max(at, e.Revision)
			ready = ready || e.InitialEnd
			if e.Type == api.Bookmark {
				continue
			}
			_, have := known[e.Object.GetName()]
			if have != (e.Type != api.Added) {
				t.Errorf("%s of %s, known: %v", e.Type, e.Object.GetName(), have)
			}
			known[e.Object.GetName()] = e.Object.GetResourceVersion()
			if e.Type == api.Deleted {
				delete(known, e.Object.GetName())
			}
		}
		if ready && at >= to {
			break
		}
	}
	return known
}

// What a watch tells adds up to what a list shows, for every kind of selection, whatever is written.
func TestWatchAddsUpToList(t *testing.T) {
	for seed := range uint64(5) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			r := open(t, registry.Options{})
			random := rand.New(rand.NewPCG(seed, 1))
			target := api.Target{Kind: api.PodKind, Key: api.Key{Namespace: "default"}}
			app := labels.SelectorFromSet(labels.Set{"app": "a"})
			selections := []api.ListOptions{
				{}, {Selector: app},
				{Fields: fields.OneTermEqualSelector("spec.nodeName", "n1")},
				{Fields: fields.OneTermEqualSelector("spec.nodeName", "n2"), Selector: app},
				{Fields: fields.OneTermNotEqualSelector("spec.nodeName", "n1")},
				{Fields: fields.OneTermEqualSelector("metadata.name", "p3")},
			}
			for range 20 {
				churn(t, r, random)
			}
			var watches []iter.Seq2[[]api.Event, error]
			for _, s := range selections {
				w, err := r.Watch(t.Context(), target, api.WatchOptions{Selector: s.Selector, Fields: s.Fields, Initial: true})
				if err != nil {
					t.Fatal(err)
				}
				watches = append(watches, w)
			}
			for range 300 {
				churn(t, r, random)
			}
			to, err := r.Now(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for n, s := range selections {
				l, err := r.List(t.Context(), target, s)
				if err != nil {
					t.Fatal(err)
				}
				want := view{}
				for _, o := range l.Items {
					want[o.GetName()] = o.GetResourceVersion()
				}
				if got := follow(t, watches[n], to); !maps.Equal(got, want) {
					t.Errorf("selection %d: the watch adds up to %v, the list is %v", n, got, want)
				}
			}
		})
	}
}

// churn does one random thing to one of a few pods.
func churn(t *testing.T, s api.Service, random *rand.Rand) {
	key := api.Key{Namespace: "default", Name: fmt.Sprintf("p%d", random.IntN(6))}
	var err error
	switch random.IntN(4) {
	case 0, 1:
		pod := apitest.As[*corev1.Pod](t, "{apiVersion: v1, kind: Pod, metadata: {namespace: default}, spec: {containers: [{name: c, image: i}]}}")
		pod.Name, pod.Spec.NodeName = key.Name, fmt.Sprintf("n%d", random.IntN(3))
		_, err = api.Pods.Create(t.Context(), s, pod)
	case 2:
		label := fmt.Sprintf(`{"metadata":{"labels":{"app":"%c"}}}`, 'a'+random.IntN(2))
		_, err = api.Pods.Patch(t.Context(), s, key, "", types.MergePatchType, []byte(label))
	case 3:
		err = api.Pods.Delete(t.Context(), s, key, api.Options{Grace: new(int64(0))})
	}
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsAlreadyExists(err) {
		t.Fatal(err)
	}
}

// Who does not read is dropped, and the others never wait for it.
func TestSlowWatcherIsDropped(t *testing.T) {
	r := open(t, registry.Options{})
	idle, err := r.Watch(t.Context(), api.Target{Kind: api.ConfigMapKind}, api.WatchOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for n := range 3000 {
		mustCreate(t, r, configMap(fmt.Sprintf("c%d", n)))
	}
	to, err := r.Now(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	late, err := r.Watch(t.Context(), api.Target{Kind: api.ConfigMapKind}, api.WatchOptions{Initial: true})
	if err != nil {
		t.Fatal(err)
	}
	if got := len(follow(t, late, to)); got != 3000 {
		t.Errorf("the late watcher knows %d objects", got)
	}
	last := error(nil)
	for _, err := range idle {
		last = err
	}
	if !apierrors.IsResourceExpired(last) {
		t.Errorf("the idle watch ended with %v", last)
	}
}

// A watcher that comes back after a restart of the server is told what it has missed, unless that is forgotten.
func TestResumeAfterRestart(t *testing.T) {
	s := memory.New()
	first := openOver(t, s, registry.Options{})
	seen := mustCreate(t, first, configMap("a"))
	mustCreate(t, first, configMap("b"))
	if err := api.ConfigMaps.Delete(t.Context(), first, api.KeyOf(seen), api.Options{}); err != nil {
		t.Fatal(err)
	}
	second := openOver(t, s, registry.Options{})
	w, err := second.Watch(t.Context(), api.Target{Kind: api.ConfigMapKind}, api.WatchOptions{After: api.RevisionOf(seen)})
	if err != nil {
		t.Fatal(err)
	}
	mustCreate(t, second, configMap("c"))
	var told []string
	for batch, err := range w {
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range batch {
			if e.Type != api.Bookmark {
				told = append(told, string(e.Type)+" "+e.Object.GetName())
			}
		}
		if len(told) == 3 {
			break
		}
	}
	if got := strings.Join(told, ", "); got != "ADDED b, DELETED a, ADDED c" {
		t.Errorf("told: %s", got)
	}
	now, err := second.Now(t.Context())
	if err == nil {
		err = s.Compact(t.Context(), store.Revision(now))
	}
	if err != nil {
		t.Fatal(err)
	}
	third := openOver(t, s, registry.Options{})
	if _, err := third.Watch(t.Context(), api.Target{Kind: api.ConfigMapKind}, api.WatchOptions{After: api.RevisionOf(seen)}); !apierrors.IsResourceExpired(err) {
		t.Errorf("a watch from forgotten history: %v", err)
	}
	if _, err := third.Get(t.Context(), api.Target{Kind: api.ConfigMapKind, Key: api.KeyOf(seen)}, api.GetOptions{At: api.RevisionOf(seen)}); !apierrors.IsResourceExpired(err) {
		t.Errorf("a read of forgotten history: %v", err)
	}
}

// A watcher that comes back after more than the cache remembers is told everything all the same, in order, from the store's log.
func TestResumeFromBeforeTheRecent(t *testing.T) {
	r := open(t, registry.Options{})
	first := mustCreate(t, r, configMap("a"))
	const many = 5000
	for n := range many {
		next := first.DeepCopy()
		next.ResourceVersion, next.Data = "", map[string]string{"n": fmt.Sprint(n)}
		if _, err := api.ConfigMaps.Update(t.Context(), r, next); err != nil {
			t.Fatal(err)
		}
	}
	w, err := r.Watch(t.Context(), api.Target{Kind: api.ConfigMapKind}, api.WatchOptions{After: api.RevisionOf(first)})
	if err != nil {
		t.Fatal(err)
	}
	told := 0
	for batch, err := range w {
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range batch {
			if e.Type == api.Modified && e.Object.(*corev1.ConfigMap).Data["n"] != fmt.Sprint(told) {
				t.Fatalf("told %v after %d changes", e.Object.(*corev1.ConfigMap).Data, told)
			} else if e.Type == api.Modified {
				told++
			}
		}
		if told == many {
			break
		}
	}
}

// An expired page's error carries a token with which the list can go on.
func TestContinueAfterCompaction(t *testing.T) {
	s := memory.New()
	r := openOver(t, s, registry.Options{})
	for _, name := range []string{"a", "b", "c"} {
		mustCreate(t, r, configMap(name))
	}
	target := api.Target{Kind: api.ConfigMapKind, Key: api.Key{Namespace: "default"}}
	page, err := r.List(t.Context(), target, api.ListOptions{Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	d := mustCreate(t, r, configMap("d"))
	if err := s.Compact(t.Context(), store.Revision(api.RevisionOf(d))); err != nil {
		t.Fatal(err)
	}
	_, err = r.List(t.Context(), target, api.ListOptions{Limit: 1, Continue: page.Continue})
	if !apierrors.IsResourceExpired(err) {
		t.Fatalf("an expired page: %v", err)
	}
	var expired apierrors.APIStatus
	if !errors.As(err, &expired) {
		t.Fatal(err)
	}
	rest, err := r.List(t.Context(), target, api.ListOptions{Continue: expired.Status().ListMeta.Continue})
	if err != nil || len(rest.Items) != 3 || rest.Items[0].GetName() != "b" {
		t.Errorf("the rest is %v, %v", rest.Items, err)
	}
}

// flaky is a store whose first watches end soon.
type flaky struct {
	store.Store
	left atomic.Int32
}

func (f *flaky) Watch(ctx context.Context, prefix string, after store.Revision) (iter.Seq2[store.Batch, error], error) {
	batches, err := f.Store.Watch(ctx, prefix, after)
	if err != nil || prefix != "/core/configmaps/" || f.left.Add(-1) < 0 {
		return batches, err
	}
	return func(yield func(store.Batch, error) bool) {
		for b, err := range batches {
			if yield(b, err); len(b.Changes) > 0 {
				yield(store.Batch{}, store.ErrSlow)
				return
			}
		}
	}, nil
}

// When the cache loses the thread its watchers are told to list again, and then all is well.
func TestCacheBeginsAnew(t *testing.T) {
	f := &flaky{Store: memory.New()}
	f.left.Store(1)
	r := openOver(t, f, registry.Options{})
	target := api.Target{Kind: api.ConfigMapKind}
	w, err := r.Watch(t.Context(), target, api.WatchOptions{Initial: true})
	if err != nil {
		t.Fatal(err)
	}
	mustCreate(t, r, configMap("a"))
	last := error(nil)
	for _, err := range w {
		last = err
	}
	if !apierrors.IsResourceExpired(last) {
		t.Fatalf("the watch ended with %v", last)
	}
	b := mustCreate(t, r, configMap("b"))
	if w, err = r.Watch(t.Context(), target, api.WatchOptions{Initial: true}); err != nil {
		t.Fatal(err)
	}
	if got := follow(t, w, api.RevisionOf(b)); !slices.Equal(slices.Sorted(maps.Keys(got)), []string{"a", "b"}) {
		t.Errorf("known afterwards: %v", got)
	}
}

func TestWatchEndsWithTheServer(t *testing.T) {
	r, err := registry.New(memory.New(), registry.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	w, err := r.Watch(t.Context(), api.Target{Kind: api.ConfigMapKind}, api.WatchOptions{})
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Run: %v", err)
	}
	last := error(nil)
	for _, err := range w {
		last = err
	}
	if !apierrors.IsServiceUnavailable(last) {
		t.Errorf("the watch ended with %v", last)
	}
}

// A revision that changes many objects is told in one piece: who is cut off in the midst of it and resumes after it would miss the rest.
func TestRevisionIsToldInOnePiece(t *testing.T) {
	s := memory.New()
	r := openOver(t, s, registry.Options{})
	var txn store.Txn
	for n := range 700 {
		c := mustCreate(t, r, configMap(fmt.Sprintf("c%03d", n)))
		txn.Do = append(txn.Do, store.Op{Key: registry.StoreKey(api.ConfigMapKind, api.KeyOf(c))})
	}
	var watches []iter.Seq2[[]api.Event, error]
	for _, o := range []api.WatchOptions{{}, {Selector: labels.SelectorFromSet(nil), After: 5}, {Initial: true}} {
		w, err := r.Watch(t.Context(), api.Target{Kind: api.ConfigMapKind}, o)
		if err != nil {
			t.Fatal(err)
		}
		watches = append(watches, w)
	}
	mustCreate(t, r, configMap("last"))
	to, err := s.Commit(t.Context(), txn)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range watches {
		pieces := 0
		for batch, err := range w {
			if err != nil {
				t.Fatal(err)
			}
			if last := batch[len(batch)-1]; last.Type == api.Deleted && last.Revision == api.Revision(to) {
				pieces++
				if len(batch) >= 700 || pieces > 1 {
					break
				}
			}
		}
		if pieces != 1 {
			t.Error("the revision is told in pieces")
		}
	}
}
