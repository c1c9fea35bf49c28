package informer

import (
	"cmp"
	"context"
	"reflect"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"

	"optimist/internal/api"
)

// Over returns write with its successful writes laid over the set's caches before they are acknowledged to the caller (law 6).
func (s *Set) Over(write api.Service) api.Service { return over{write, s} }

type over struct {
	api.Service
	set *Set
}

func (o over) Write(ctx context.Context, r api.Request) (api.Result, error) {
	result, err := o.Service.Write(ctx, r)
	switch {
	case r.DryRun, o.set.find(r.Kind) == nil:
	case r.Verb == api.VerbDeleteCollection, api.Ambiguous(err):
		o.set.Doubt() // what was written, if anything, the watches have to tell
	case err == nil:
		o.set.lay(r, result)
	}
	return result, err
}

// lay takes in what an own write did, or notes that the watches have to tell it.
func (s *Set) lay(r api.Request, result api.Result) {
	if !s.cache(r.Kind).lay(r, result) {
		s.mu.Lock()
		s.owed = max(s.owed, result.Revision)
		s.mu.Unlock()
	}
}

// lay reports whether it could: what is not an object of the kind, or one that only the server can select, cannot be laid over.
func (c *cache) lay(r api.Request, result api.Result) bool {
	c.order.Lock()
	defer c.order.Unlock()
	if c.told(result.Revision) || c.namespace != "" && r.Key.Namespace != c.namespace {
		return true
	}
	if r.Verb == api.VerbDelete && result.Object == nil {
		c.remove(r.Key, result.Revision, true)
		return true
	}
	if reflect.TypeOf(result.Object) != typeOf(c.kind) {
		return false
	}
	o := result.Object
	key := api.KeyOf(o)
	if gone(r.Verb, o) || c.selector != nil && !c.selector.Matches(labels.Set(o.GetLabels())) {
		c.remove(key, result.Revision, true)
		return true
	}
	if c.fields != nil && !c.fields.Empty() && !c.has(key) {
		return false
	}
	c.put(o, cmp.Or(api.RevisionOf(o), result.Revision))
	return true
}

// told reports whether the watch has already told what happened at a revision: an answer that comes later than its event says nothing new.
func (c *cache) told(r api.Revision) bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return r <= c.progress
}

func (c *cache) has(key api.Key) bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.entries[key].object != nil
}

// gone reports whether a write's answer is an object's last state. Deletions linger while anything holds them.
func gone(v api.Verb, o api.Object) bool {
	if v != api.VerbDelete && o.GetDeletionTimestamp() == nil {
		return false
	}
	if ns, ok := o.(*corev1.Namespace); ok && len(ns.Spec.Finalizers) > 0 {
		return false
	}
	grace := o.GetDeletionGracePeriodSeconds()
	return len(o.GetFinalizers()) == 0 && (grace == nil || *grace == 0)
}
