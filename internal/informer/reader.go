package informer

import (
	"iter"
	"slices"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"optimist/internal/api"
)

// Reader reads one kind's cache. What it returns is read-only, and sorted by namespace and name.
type Reader[T api.Object] interface {
	Get(api.Key) (T, bool)
	List(namespace string, sel labels.Selector) iter.Seq[T] // "" = all namespaces, nil = everything
	OwnedBy(types.UID) []T                                  // those with an owner reference to the uid
	Indexed(index, value string) []T
	Holds(namespace string) bool // any object
}

type reader[T api.Object] struct{ c *cache }

func (r reader[T]) Get(key api.Key) (T, bool) {
	r.c.mu.RLock()
	defer r.c.mu.RUnlock()
	e := r.c.entries[key]
	e.verify(r.c.kind, key)
	o, ok := e.object.(T)
	return o, ok
}

func (r reader[T]) List(namespace string, sel labels.Selector) iter.Seq[T] {
	return func(yield func(T) bool) {
		for _, o := range r.collect(namespace) {
			if (sel == nil || sel.Matches(labels.Set(o.GetLabels()))) && !yield(o) {
				return
			}
		}
	}
}

func (r reader[T]) OwnedBy(uid types.UID) []T { return r.Indexed(byOwner, string(uid)) }

func (r reader[T]) Indexed(name, value string) []T {
	r.c.mu.RLock()
	ix := r.c.indexes[name]
	if ix == nil {
		r.c.mu.RUnlock()
		panic("informer: " + r.c.kind.String() + " has no index " + name + "; name it in the Options of Watch")
	}
	all := make([]T, 0, len(ix.keys[value]))
	for key := range ix.keys[value] {
		all = append(all, r.object(key))
	}
	r.c.mu.RUnlock()
	return sorted(all)
}

func (r reader[T]) Holds(namespace string) bool {
	r.c.mu.RLock()
	defer r.c.mu.RUnlock()
	return len(r.c.indexes[byNamespace].keys[namespace]) > 0
}

// collect copies the pointers out, so that no lock is held while a caller works.
func (r reader[T]) collect(namespace string) []T {
	if namespace != "" {
		return r.Indexed(byNamespace, namespace)
	}
	r.c.mu.RLock()
	all := make([]T, 0, len(r.c.entries))
	for key, e := range r.c.entries {
		if e.object != nil {
			all = append(all, r.object(key))
		}
	}
	r.c.mu.RUnlock()
	return sorted(all)
}

func (r reader[T]) object(key api.Key) T {
	e := r.c.entries[key]
	e.verify(r.c.kind, key)
	return e.object.(T)
}

func sorted[T api.Object](all []T) []T {
	slices.SortFunc(all, func(a, b T) int { return compareKeys(api.KeyOf(a), api.KeyOf(b)) })
	return all
}
