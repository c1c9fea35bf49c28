package informer

import (
	"context"
	"log/slog"
	"reflect"
	"sync"

	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"optimist/internal/api"
)

// Set is a group of caches, one a kind, that are read from one Service and written over together.
type Set struct {
	Log *slog.Logger // where Run says that a watch broke; nil = slog.Default()

	svc api.Service

	mu      sync.Mutex
	caches  map[schema.GroupKind]*cache
	kinds   []*cache      // in the order of their first Watch
	doubts  int           // how often the set became unsure …
	settled int           // … and how many of these times have been settled
	owed    api.Revision  // a known revision that the watches must reach before anybody plans
	changed chan struct{} // closed and replaced whenever a cache got further
}

// Options narrow and index what is watched of a kind.
type Options[T api.Object] struct {
	Namespace string
	Selector  labels.Selector
	Fields    fields.Selector
	Index     map[string]func(T) []string
	Trim      func(T) T // returns a smaller copy to keep; dropped as soon as somebody asks for the kind without it
}

// Change is one step in a kind's local history. Before or After is nil where the object did not exist.
type Change struct {
	Kind          *api.Kind
	Before, After api.Object
	Revision      api.Revision
	Initial       bool // told because the first list named it, not because it just happened
}

// NewSet returns an empty set that reads as svc.
func NewSet(svc api.Service) *Set {
	return &Set{svc: svc, caches: map[schema.GroupKind]*cache{}, changed: make(chan struct{})}
}

// Watch adds a kind to the set and returns its Reader. It must be called before Run. Asking again for a kind shares the cache and adds
// indexes, of each name one; all who ask must narrow it alike.
func Watch[T api.Object](s *Set, of api.Of[T], o Options[T]) Reader[T] {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.caches[of.Kind.GroupKind()]
	if c == nil {
		c = newCache(of.Kind)
		c.namespace, c.selector, c.fields = o.Namespace, o.Selector, o.Fields
		c.trim, c.trimmed = untyped(o.Trim), reflect.TypeFor[T]()
		s.caches[of.Kind.GroupKind()] = c
		s.kinds = append(s.kinds, c)
	}
	if narrowed(c.namespace, c.selector, c.fields) != narrowed(o.Namespace, o.Selector, o.Fields) {
		panic("informer: " + of.Kind.String() + " is watched with another namespace or selector already; make another Set")
	}
	if o.Trim == nil || c.trimmed != reflect.TypeFor[T]() {
		c.trim = nil
	}
	for name, values := range o.Index {
		c.addIndex(name, func(obj api.Object) []string { return values(obj.(T)) })
	}
	return reader[T]{c}
}

// Kinds are the watched kinds, in the order of their first Watch.
func (s *Set) Kinds() []*api.Kind {
	s.mu.Lock()
	defer s.mu.Unlock()
	var kinds []*api.Kind
	for _, c := range s.kinds {
		kinds = append(kinds, c.kind)
	}
	return kinds
}

func narrowed(namespace string, sel labels.Selector, f fields.Selector) [3]string {
	words := [3]string{namespace}
	if sel != nil {
		words[1] = sel.String()
	}
	if f != nil {
		words[2] = f.String()
	}
	return words
}

func untyped[T api.Object](trim func(T) T) func(api.Object) api.Object {
	if trim == nil {
		return nil
	}
	return func(o api.Object) api.Object { return trim(o.(T)) }
}

// Listen calls f with every change of a watched kind, one at a time and in order; f may read the set, but must neither block nor write. It must be
// called before Run.
func (s *Set) Listen(k *api.Kind, f func(Change)) {
	c := s.cache(k)
	c.listeners = append(c.listeners, f)
}

// Open returns the options with which the next watch of the kind has to begin: after what the last one told, or, the first time and after
// a 410, with a whole list that is no older than anything seen so far.
func (s *Set) Open(k *api.Kind) api.WatchOptions { return s.cache(k).open() }

// Deliver takes in a batch of events from the watch that Open's options began. It is the synchronous core of Run.
func (s *Set) Deliver(k *api.Kind, events []api.Event) {
	s.cache(k).deliver(events)
	s.wake()
}

// Lost takes in why a watch of the kind ended.
func (s *Set) Lost(k *api.Kind, err error) { s.cache(k).lost(err) }

// Doubt makes the set unsure: Settle will ask the server how far the watches have to be. Whoever takes over leadership calls it.
func (s *Set) Doubt() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.doubts++
}

// Unsure reports whether Settle would have to wait.
func (s *Set) Unsure() bool {
	s.mu.Lock()
	doubt, owed := s.doubts > s.settled, s.owed
	s.mu.Unlock()
	return doubt || !s.reached(owed)
}

// Settle returns once the caches hold at least everything that was written before Settle was called and might not have been laid over.
func (s *Set) Settle(ctx context.Context) error {
	s.mu.Lock()
	doubts, settled, owed := s.doubts, s.settled, s.owed
	s.mu.Unlock()
	if doubts > settled || !s.reached(owed) { // asking makes every watch tell how far it is
		now, err := s.svc.Now(ctx)
		if err != nil {
			return err
		}
		owed = max(owed, now)
	}
	if err := s.wait(ctx, func() bool { return s.reached(owed) }); err != nil {
		return err
	}
	s.mu.Lock()
	s.settled = max(s.settled, doubts)
	s.mu.Unlock()
	return nil
}

// Synced returns once every kind has been listed.
func (s *Set) Synced(ctx context.Context) error {
	return s.wait(ctx, func() bool { return s.reached(0) })
}

// reached reports whether every watch has told everything up to a revision (0: has been listed at all).
func (s *Set) reached(r api.Revision) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.kinds {
		if !c.reached(r) {
			return false
		}
	}
	return true
}

func (s *Set) wait(ctx context.Context, done func() bool) error {
	for {
		s.mu.Lock()
		changed := s.changed
		s.mu.Unlock()
		if done() {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (s *Set) wake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.changed)
	s.changed = make(chan struct{})
}

// cache returns a watched kind's cache; asking for another kind is a mistake in the program.
func (s *Set) cache(k *api.Kind) *cache {
	if c := s.find(k); c != nil {
		return c
	}
	panic("informer: " + k.String() + " is not watched; call informer.Watch for it first")
}

func (s *Set) find(k *api.Kind) *cache {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.caches[k.GroupKind()]
}

// typeOf is the Go type of a kind's stored form.
func typeOf(k *api.Kind) reflect.Type { return reflect.TypeOf(k.Versions[0].New()) }
