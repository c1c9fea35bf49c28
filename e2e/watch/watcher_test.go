package watch

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"optimist/internal/api"
)

// watcher follows a selection through everything that happens to it.
type watcher struct {
	selection
	name   string
	world  *world
	random *rand.Rand
	slow   bool // does not read while there is writing

	mu      sync.Mutex
	moved   *sync.Cond
	initial []told       // since the last check, if it has had to list
	listed  api.Revision // what initial is true for; 0 = it has not had to
	listing bool         // initial is not complete
	heard   []told       // since the last check, or after listing
	after   api.Revision // told everything up to here
	checked api.Revision
	fault   error

	events, lists, resumes, bookmarks int
}

func newWatcher(w *world, n int, s selection, slow bool) *watcher {
	x := &watcher{selection: s, world: w, slow: slow, random: rand.New(rand.NewPCG(uint64(n), 7)), listing: true}
	x.name = fmt.Sprintf("watcher %d of %s", n, s)
	x.moved = sync.NewCond(&x.mu)
	return x
}

// run watches until ctx ends, again and again.
func (w *watcher) run(ctx context.Context) {
	for ctx.Err() == nil {
		if err := w.once(ctx); err != nil {
			w.mu.Lock()
			w.fault = err
			w.moved.Broadcast()
			w.mu.Unlock()
			return
		}
	}
}

// once is one connection. It returns an error only for what should not be.
func (w *watcher) once(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	svc := w.world.service()
	o := w.options()
	w.mu.Lock()
	o.After, o.Initial = w.after, w.listing
	if o.Initial {
		o.After, w.initial = 0, nil
		w.lists++
	} else {
		w.resumes++
	}
	w.mu.Unlock()
	batches, err := svc.Watch(ctx, api.Target{Kind: api.PodKind, Key: api.Key{Namespace: w.namespace}}, o)
	if err != nil {
		return w.ended(ctx, err)
	}
	if _, err := svc.Now(ctx); err != nil { // so that a bookmark comes
		return w.ended(ctx, err)
	}
	for batch, err := range batches {
		if err != nil {
			return w.ended(ctx, err)
		}
		broken := w.random.IntN(60) == 0
		if broken { // somewhere in the midst of it
			batch = batch[:w.random.IntN(len(batch)+1)]
		}
		hear := w.hear
		if w.slow {
			hear = w.hearLate
		}
		if err := hear(batch); err != nil || broken {
			return err
		}
	}
	return nil
}

// hearLate waits until nobody writes.
func (w *watcher) hearLate(batch []api.Event) error {
	w.world.reading.RLock()
	defer w.world.reading.RUnlock()
	return w.hear(batch)
}

// ended judges the end of a watch: a server that stops, and having fallen behind, are all there is.
func (w *watcher) ended(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil, apierrors.IsServiceUnavailable(err):
		return nil
	case apierrors.IsResourceExpired(err):
		w.mu.Lock()
		defer w.mu.Unlock()
		w.listing = true
		return nil
	}
	return fmt.Errorf("%s after %d: %w", w.name, w.after, err)
}

func (w *watcher) hear(batch []api.Event) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	defer w.moved.Broadcast()
	for _, e := range batch {
		switch {
		case w.listing && e.InitialEnd:
			w.listing, w.listed, w.after, w.heard = false, e.Revision, e.Revision, nil
			continue
		case w.listing:
			w.initial = append(w.initial, tell(e))
			continue
		case e.Revision < w.after || e.Revision == w.after && e.Type != api.Bookmark:
			return fmt.Errorf("%s is told %s of revision %d after %d", w.name, e.Type, e.Revision, w.after)
		}
		if w.after = e.Revision; e.Type == api.Bookmark {
			w.bookmarks++
			continue
		}
		w.events++
		w.heard = append(w.heard, tell(e))
	}
	return nil
}

func tell(e api.Event) told {
	p := e.Object.(*corev1.Pod)
	return told{e.Type, api.KeyOf(p), pod{p.Labels["app"], p.Spec.NodeName}, api.RevisionOf(p)}
}

// await waits until the watcher knows all up to a revision.
func (w *watcher) await(to api.Revision) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.fault == nil && (w.listing || w.after < to) {
		w.moved.Wait()
	}
	return w.fault
}

// check compares what the watcher was told with what it should have been.
func (w *watcher) check(j *journal) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.listed != 0 {
		slices.SortFunc(w.initial, byKey)
		if err := w.compare(fmt.Sprintf("of what exists at %d", w.listed), w.initial, j.initial(w.selection, w.listed)); err != nil {
			return err
		}
		w.checked = w.listed
	}
	if err := w.compare(fmt.Sprintf("after %d", w.checked), w.heard, j.news(w.selection, w.checked, w.after)); err != nil {
		return err
	}
	w.initial, w.listed, w.heard, w.checked = nil, 0, nil, w.after
	return nil
}

func (w *watcher) compare(what string, got, want []told) error {
	for n := range max(len(got), len(want)) {
		switch {
		case n >= len(got):
			return fmt.Errorf("%s, %s, is not told %v", w.name, what, want[n])
		case n >= len(want):
			return fmt.Errorf("%s, %s, is told %v, of which it should hear nothing", w.name, what, got[n])
		case got[n] != want[n]:
			return fmt.Errorf("%s, %s, is told %v; next should come %v", w.name, what, got[n], want[n])
		}
	}
	return nil
}
