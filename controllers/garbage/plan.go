package garbage

import (
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"optimist/internal/api"
	"optimist/internal/reconcile"
)

// view is what a plan is made from.
type view struct {
	kind       *api.Kind
	object     api.Object
	owners     map[types.UID]owner
	dependents []dependent
}

// owner is what became of an owner.
type owner int

const (
	unknown owner = iota // it may exist
	present
	waiting // it is being deleted in the foreground, and waits for its dependents
	absent
)

type dependent struct {
	kind   *api.Kind
	object api.Object
}

func stateOf(o api.Object) owner {
	if foreground(o) {
		return waiting
	}
	return present
}

func foreground(o api.Object) bool {
	return o.GetDeletionTimestamp() != nil && slices.Contains(o.GetFinalizers(), metav1.FinalizerDeleteDependents)
}

func orphaning(o api.Object) bool {
	return o.GetDeletionTimestamp() != nil && slices.Contains(o.GetFinalizers(), metav1.FinalizerOrphanDependents)
}

// plan decides what becomes of one object. It never has to look again by itself: every reason to is somebody's change.
func plan(v view, _ time.Time) ([]reconcile.Action, time.Duration) {
	switch {
	case orphaning(v.object):
		return orphan(v), 0
	case foreground(v.object):
		return awaitDependents(v), 0
	case v.object.GetDeletionTimestamp() != nil:
		return nil, 0 // it is going anyway
	}
	return judgeOwners(v), 0
}

// orphan makes all dependents forget the object, then lets it go.
func orphan(v view) []reconcile.Action {
	var steps []reconcile.Action
	for _, d := range v.dependents {
		steps = append(steps, forget(d.kind, d.object, "its owner is deleted and leaves it behind", v.object.GetUID()))
	}
	return append(steps, unhold(v, metav1.FinalizerOrphanDependents, "its dependents have forgotten it"))
}

// awaitDependents lets an object go once no dependent blocks it; the dependents are deleted on their own account.
func awaitDependents(v view) []reconcile.Action {
	for _, d := range v.dependents {
		if blocks(d.object, v.object.GetUID()) {
			return nil
		}
	}
	return []reconcile.Action{unhold(v, metav1.FinalizerDeleteDependents, "no dependent is left that blocks its deletion")}
}

func blocks(o api.Object, uid types.UID) bool {
	return slices.ContainsFunc(o.GetOwnerReferences(), func(r metav1.OwnerReference) bool {
		return r.UID == uid && r.BlockOwnerDeletion != nil && *r.BlockOwnerDeletion
	})
}

// judgeOwners deletes an object that has owners but none that stays, and otherwise makes it forget those that do not.
func judgeOwners(v view) []reconcile.Action {
	var staying, gone []metav1.OwnerReference
	var waits bool
	for _, ref := range v.object.GetOwnerReferences() {
		switch state := v.owners[ref.UID]; state {
		case absent, waiting:
			gone = append(gone, ref)
			waits = waits || state == waiting
		default:
			staying = append(staying, ref)
		}
	}
	switch {
	case len(gone) == 0:
		return nil
	case len(staying) > 0:
		uids := make([]types.UID, 0, len(gone))
		for _, ref := range gone {
			uids = append(uids, ref.UID)
		}
		return []reconcile.Action{forget(v.kind, v.object, named(gone)+" is gone, but it has another owner", uids...)}
	case waits && len(v.dependents) > 0:
		return []reconcile.Action{remove(v, metav1.DeletePropagationForeground, named(gone)+" waits for its dependents to go")}
	}
	return []reconcile.Action{remove(v, propagation(v.object), "its owner "+named(gone)+" is gone or waits for it to go")}
}

// propagation is what the object's finalizers ask for.
func propagation(o api.Object) metav1.DeletionPropagation {
	switch f := o.GetFinalizers(); {
	case slices.Contains(f, metav1.FinalizerOrphanDependents):
		return metav1.DeletePropagationOrphan
	case slices.Contains(f, metav1.FinalizerDeleteDependents):
		return metav1.DeletePropagationForeground
	}
	return metav1.DeletePropagationBackground
}

func remove(v view, p metav1.DeletionPropagation, why string) reconcile.Action {
	a := reconcile.Delete(v.kind, v.object, why, nil)
	a.Propagation = p
	a.Pre.Revision = api.RevisionOf(v.object) // whoever adopted it meanwhile changed it
	return a
}

func forget(k *api.Kind, o api.Object, why string, uids ...types.UID) reconcile.Action {
	var refs []string
	for _, uid := range uids {
		refs = append(refs, fmt.Sprintf(`{"$patch":"delete","uid":%q}`, uid))
	}
	return reconcile.Patch(k, o, fmt.Sprintf(`{"metadata":{"ownerReferences":[%s]}}`, strings.Join(refs, ",")), why, nil)
}

func unhold(v view, finalizer, why string) reconcile.Action {
	return reconcile.Patch(v.kind, v.object, fmt.Sprintf(`{"metadata":{"$deleteFromPrimitiveList/finalizers":[%q]}}`, finalizer), why, nil)
}

func named(refs []metav1.OwnerReference) string {
	var all []string
	for _, r := range refs {
		all = append(all, strings.ToLower(r.Kind)+"/"+r.Name)
	}
	return strings.Join(all, ", ")
}
