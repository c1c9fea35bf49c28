package registry

import (
	"sync"

	"k8s.io/apimachinery/pkg/labels"

	"optimist/apiserver/store"
	"optimist/internal/api"
)

// state is one version of an object: its bytes, and what selectors ask of it. The decoded object is kept only as long as the state is among
// the recent changes.
type state struct {
	kind  *resource
	key   api.Key
	value []byte
	mod   store.Revision

	mu     sync.Mutex
	keep   bool       // the decoded object
	object api.Object // nil if not kept
	known  bool       // the next two
	labels labels.Set
	fields []string
}

// stateOf is the state of an entry that has been decoded already.
func (k *resource) stateOf(e store.Entry, o api.Object) *state {
	return &state{kind: k, key: api.KeyOf(o), value: e.Value, mod: e.Mod, keep: true, object: o}
}

// read returns the decoded object, which is shared.
func (s *state) read() (api.Object, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.decoded()
}

func (s *state) decoded() (api.Object, error) {
	if s.object != nil {
		return s.object, nil
	}
	o, err := s.kind.open(store.Entry{Key: StoreKey(s.kind.Kind, s.key), Value: s.value, Mod: s.mod})
	if err == nil && s.keep {
		s.object = o
	}
	return o, err
}

// selectable returns what selectors look at. A damaged value has neither labels nor fields; whoever reads it is told.
func (s *state) selectable() (labels.Set, []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.known {
		o, err := s.decoded()
		if err != nil {
			return nil, make([]string, len(s.kind.fields))
		}
		s.known, s.labels, s.fields = true, o.GetLabels(), s.kind.valuesOf(s.key, o)
	}
	return s.labels, s.fields
}

// release gives the decoded object up.
func (s *state) release() {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keep, s.object = false, nil
}

// change is one step of an object's life.
type change struct {
	revision      store.Revision
	before, after *state // nil = it did not exist

	once sync.Once
	last api.Object // see gone
	err  error
}

func (c *change) key() api.Key {
	if c.after != nil {
		return c.after.key
	}
	return c.before.key
}

func (c *change) size() int {
	n := 0
	for _, s := range []*state{c.before, c.after} {
		if s != nil {
			n += len(s.value)
		}
	}
	return n
}

// gone is the object as it was before the change, with the change's revision: what a watcher is told that it no longer concerns.
func (c *change) gone() (api.Object, error) {
	c.once.Do(func() {
		c.last, c.err = c.before.kind.open(store.Entry{Key: StoreKey(c.before.kind.Kind, c.before.key), Value: c.before.value, Mod: c.revision})
	})
	return c.last, c.err
}

// event is the change as seen through a selection; false if it is not seen.
func (s picked) event(c *change) (api.Event, bool, error) {
	was, is := c.before != nil && s.matches(c.before), c.after != nil && s.matches(c.after)
	e := api.Event{Revision: api.Revision(c.revision)}
	var err error
	switch {
	case !was && !is:
		return e, false, nil
	case !is:
		e.Type = api.Deleted
		e.Object, err = c.gone()
		return e, true, err
	case was:
		e.Type = api.Modified
	default:
		e.Type = api.Added
	}
	e.Object, err = c.after.read()
	return e, true, err
}
