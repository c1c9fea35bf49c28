package registry

import (
	"context"
	"errors"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"optimist/apiserver/store"
	"optimist/internal/api"
)

// Deletion is a change of state before it is a removal:
//
//	DELETE ─▶ deletionTimestamp = now + grace ─▶ the keeper (a Pod's agent) deletes with grace 0 ─▶ last finalizer gone ─▶ removed
//
// Each step may be missing: without grace and finalizers an object goes at once.

func (w *write) delete(ctx context.Context) (api.Result, error) {
	if w.Sub != "" {
		return api.Result{}, apierrors.NewMethodNotSupported(w.Resource(), "delete of "+w.Sub)
	}
	if w.Kind.Is(api.NamespaceKind) && slices.Contains(immortal, w.Key.Name) {
		return api.Result{}, apierrors.NewForbidden(w.Resource(), w.Key.Name, errors.New("this namespace may not be deleted"))
	}
	if w.Propagation != "" {
		if faults := validation.ValidateDeleteOptions(&metav1.DeleteOptions{PropagationPolicy: &w.Propagation}); len(faults) > 0 {
			return api.Result{}, apierrors.NewInvalid(schema.GroupKind{Group: metav1.GroupName, Kind: "DeleteOptions"}, "", faults)
		}
	}
	if w.Grace != nil && *w.Grace < 0 {
		w.Grace = new(int64(1)) // as in Kubernetes: "now", but its keeper is told
	}
	return w.retry(ctx, w.end)
}

// evict deletes a pod as an Eviction asks, and returns the pod. Disruption budgets have no say yet.
func (w *write) evict(ctx context.Context) (api.Result, error) {
	body, err := w.decodeBody(&policyv1.Eviction{TypeMeta: metav1.TypeMeta{APIVersion: "policy/v1", Kind: "Eviction"}})
	if err != nil {
		return api.Result{}, err
	}
	e, ok := body.(*policyv1.Eviction)
	if !ok || e.Name != "" && e.Name != w.Key.Name {
		return api.Result{}, apierrors.NewBadRequest("the body must be an Eviction of the pod that is named on the URL")
	}
	d := api.Request{Target: api.Target{Kind: w.Kind, Key: w.Key}, Verb: api.VerbDelete, Options: w.Options}
	if err := d.Options.TakeDelete(e.DeleteOptions); err != nil {
		return api.Result{}, err
	}
	return w.registry.Write(ctx, d)
}

// end is one attempt at a delete.
func (w *write) end(ctx context.Context) (api.Result, error) {
	old, entry, err := w.current(ctx)
	if err != nil {
		return api.Result{}, err
	}
	if err := unmet(w.Kind, old, w.Pre); err != nil {
		return api.Result{}, err
	}
	if err := w.mutate(ctx, nil, old); err != nil {
		return api.Result{}, err
	}
	if err := w.check(ctx, nil, old); err != nil {
		return api.Result{}, err
	}
	o := clone(old)
	o.SetFinalizers(collected(o.GetFinalizers(), w.Propagation))
	w.mark(o, time.Now())
	if ended(o) {
		return w.remove(ctx, entry, o)
	}
	return w.replace(ctx, entry, o, store.Txn{})
}

// mark sets when the object will end. Once set, that can only come nearer.
func (w *write) mark(o api.Object, now time.Time) {
	if deleting(o) {
		w.hasten(o)
		return
	}
	var grace int64
	if w.rules.Grace != nil {
		grace = w.rules.Grace(o, w.Grace)
	}
	at := metav1.NewTime(now.Add(time.Duration(grace) * time.Second)).Rfc3339Copy()
	o.SetDeletionTimestamp(&at)
	o.SetDeletionGracePeriodSeconds(&grace)
	if o.GetGeneration() > 0 {
		o.SetGeneration(o.GetGeneration() + 1) // whoever looks after the object must act
	}
	terminate(o)
}

func (w *write) hasten(o api.Object) {
	have := o.GetDeletionGracePeriodSeconds()
	if have == nil || w.Grace == nil || *w.Grace >= *have {
		return
	}
	at := metav1.NewTime(o.GetDeletionTimestamp().Add(time.Duration(*w.Grace-*have) * time.Second))
	o.SetDeletionTimestamp(&at)
	o.SetDeletionGracePeriodSeconds(w.Grace)
}

// ended reports that neither finalizers nor anybody's grace keep a deleted object.
func ended(o api.Object) bool {
	ns, ok := o.(*corev1.Namespace)
	if len(o.GetFinalizers()) > 0 || ok && len(ns.Spec.Finalizers) > 0 {
		return false
	}
	grace := o.GetDeletionGracePeriodSeconds()
	return grace == nil || *grace == 0
}

// collected changes the finalizers through which the garbage collector is told what to do with an object's dependents.
func collected(finalizers []string, p metav1.DeletionPropagation) []string {
	if p == "" {
		return finalizers
	}
	rest := slices.DeleteFunc(slices.Clone(finalizers), func(f string) bool {
		return f == metav1.FinalizerOrphanDependents || f == metav1.FinalizerDeleteDependents
	})
	switch p {
	case metav1.DeletePropagationOrphan:
		return append(rest, metav1.FinalizerOrphanDependents)
	case metav1.DeletePropagationForeground:
		return append(rest, metav1.FinalizerDeleteDependents)
	}
	return rest
}

// remove takes an object out of the store. The answer is its last state.
func (w *write) remove(ctx context.Context, e store.Entry, o api.Object) (api.Result, error) {
	var txn store.Txn
	if err := w.claim(ctx, o, nil, &txn); err != nil {
		return api.Result{}, err
	}
	if err := w.registry.releaseLease(ctx, o, &txn); err != nil {
		return api.Result{}, err
	}
	res, err := w.commit(ctx, o, store.Guard{Key: e.Key, Mod: e.Mod}, nil, txn)
	if err == nil {
		w.registry.namespaces.forget(e.Key)
	}
	res.Gone = err == nil
	return res, err
}

// deleteCollection deletes what a list finds, one by one. What others delete meanwhile is not missed.
func (r *Registry) deleteCollection(ctx context.Context, w *write) (api.Result, error) {
	match, pinned := w.Match, w.Pre != (api.Preconditions{}) || w.Fence != nil
	for {
		page, err := r.List(ctx, api.Target{Kind: w.Kind, Version: w.Version, Key: w.Key}, match)
		if err != nil {
			return api.Result{}, err
		}
		for _, o := range page.Items {
			one := w.Request
			one.Verb, one.Key = api.VerbDelete, api.KeyOf(o)
			if one.Pre.UID = o.GetUID(); w.Pre.UID != "" {
				one.Pre.UID = w.Pre.UID
			}
			_, err := r.Write(ctx, one)
			if renewed := apierrors.IsConflict(err) && !pinned; err != nil && !apierrors.IsNotFound(err) && !renewed {
				return api.Result{}, err // but one that has given way to a new one of its name was not in the collection
			}
		}
		if match.Continue = page.Continue; match.Continue == "" {
			return api.Result{Revision: page.Revision, Warnings: w.warnings}, nil
		}
	}
}
