package registry

import (
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"

	"optimist/apiserver/store"
	"optimist/internal/api"
)

// picked is what a list or a watch picks out of a kind.
type picked struct {
	namespace string
	labels    labels.Selector
	fields    fields.Selector
	index     equality
}

// equality is a field selector's demand that a field have one value: caches find and dispatch by it.
type equality struct {
	on    bool
	field int // index into resource.fields
	value string
}

// The two fields that every kind has; those of its Rules follow.
const (
	fieldName = iota
	fieldNamespace
	commonFields
)

// renamed are the fields of an Event by which events.k8s.io selects, as the stored form calls them.
var renamed = strings.NewReplacer("regarding.", "involvedObject.", "reportingController", "reportingComponent")

func (k *resource) selection(namespace string, l labels.Selector, f fields.Selector) (picked, error) {
	s := picked{namespace: namespace}
	if !k.Namespaced && namespace != "" {
		return s, k.checkKey(api.Key{Namespace: namespace}, true)
	}
	if l != nil && !l.Empty() {
		s.labels = l
	}
	if f == nil || f.Empty() {
		return s, nil
	}
	if k.Stored != nil {
		f, _ = f.Transform(func(name, value string) (string, string, error) { return renamed.Replace(name), value, nil })
	}
	s.fields = f
	for _, r := range f.Requirements() {
		n := slices.Index(k.fields, r.Field)
		if n < 0 {
			return s, apierrors.NewBadRequest(fmt.Sprintf("field label not supported: %s; %s can be selected by %s", r.Field, k, strings.Join(k.fields, ", ")))
		}
		equal := r.Operator == selection.Equals || r.Operator == selection.DoubleEquals
		if equal && n != fieldNamespace && (!s.index.on || n < s.index.field) { // a name picks less than spec.nodeName, and that less than a status
			s.index = equality{on: true, field: n, value: r.Value}
		}
	}
	return s, nil
}

func (s picked) matches(st *state) bool {
	if s.namespace != "" && s.namespace != st.key.Namespace {
		return false
	}
	if s.labels == nil && s.fields == nil {
		return true
	}
	have, values := st.selectable()
	return (s.labels == nil || s.labels.Matches(have)) && (s.fields == nil || s.fields.Matches(fieldValues{st.kind, values}))
}

// fieldValues shows a state's values to a selector.
type fieldValues struct {
	kind   *resource
	values []string
}

func (f fieldValues) Has(name string) bool { return slices.Contains(f.kind.fields, name) }

func (f fieldValues) Get(name string) string {
	if n := slices.Index(f.kind.fields, name); n >= 0 {
		return f.values[n]
	}
	return ""
}

// valuesOf reads the selectable fields of an object, in the order of resource.fields.
func (k *resource) valuesOf(key api.Key, o api.Object) []string {
	values := make([]string, len(k.fields))
	values[fieldName], values[fieldNamespace] = key.Name, key.Namespace
	for n, name := range k.fields[commonFields:] {
		values[commonFields+n] = k.rules.Fields[name](o)
	}
	return values
}

// put replaces a state; nil removes it.
func (c *cache) put(key string, s *state) {
	if old := c.states[key]; old != nil {
		for _, e := range c.equalities(old) {
			if delete(c.index[e], key); len(c.index[e]) == 0 {
				delete(c.index, e)
			}
		}
		c.sizes[old.key.Namespace]--
	}
	if s == nil {
		delete(c.states, key)
		return
	}
	c.states[key] = s
	c.sizes[s.key.Namespace]++
	for _, e := range c.equalities(s) {
		if c.index[e] == nil {
			c.index[e] = map[string]*state{}
		}
		c.index[e][key] = s
	}
}

// equalities are the values of the kind's own fields, under which a state is indexed.
func (c *cache) equalities(s *state) []equality {
	if len(c.kind.fields) == commonFields {
		return nil // not even decoded
	}
	_, values := s.selectable()
	all := make([]equality, 0, len(values)-commonFields)
	for n := commonFields; n < len(values); n++ {
		all = append(all, equality{on: true, field: n, value: values[n]})
	}
	return all
}

// find returns the states that a selection picks, in the order of their keys, and the revision that they are true for.
func (c *cache) find(p picked) ([]*state, store.Revision) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pick(p), c.revision
}

// pick is find for who holds the lock.
func (c *cache) pick(p picked) []*state {
	from := c.states
	if p.index.on && p.index.field >= commonFields {
		from = c.index[p.index]
	}
	var found []*state
	for _, s := range from {
		if p.index.on && p.index.field == fieldName && p.index.value != s.key.Name {
			continue // without a look at what it is
		}
		if p.matches(s) {
			found = append(found, s)
		}
	}
	slices.SortFunc(found, func(a, b *state) int {
		return strings.Compare(StoreKey(a.kind.Kind, a.key), StoreKey(b.kind.Kind, b.key))
	})
	return found
}

// dispatch hands the changes of a revision to the watchers that they may concern: to each at once, and each change once.
func (c *cache) dispatch(next []*change) {
	all := c.watchers[equality{}]
	for w := range all {
		w.offer(next)
	}
	if len(c.watchers) == min(len(all), 1) {
		return // nobody wants one value
	}
	chosen := map[*watcher][]*change{}
	for _, ch := range next {
		for _, e := range c.concerned(ch) {
			for w := range c.watchers[e] {
				chosen[w] = append(chosen[w], ch)
			}
		}
	}
	for w, some := range chosen {
		w.offer(some)
	}
}

// concerned are the values that an object had before a change or has after it, each once.
func (c *cache) concerned(ch *change) (all []equality) {
	for _, s := range []*state{ch.before, ch.after} {
		if s == nil {
			continue
		}
		for _, e := range append(c.equalities(s), equality{on: true, field: fieldName, value: s.key.Name}) {
			if !slices.Contains(all, e) {
				all = append(all, e)
			}
		}
	}
	return all
}

func (c *cache) each(f func(*watcher)) {
	for _, some := range c.watchers {
		for w := range some {
			f(w)
		}
	}
}
