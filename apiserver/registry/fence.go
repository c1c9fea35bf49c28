package registry

import (
	"context"
	"encoding/json"
	"fmt"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"optimist/apiserver/store"
	"optimist/internal/api"
)

// Law 10, fencing: beside each Lease the registry keeps an epoch record under a key of its own, which is written only when the holder changes
// and outlives the Lease. A leader's write names the epoch it was elected for, and is committed only if the record has not moved:
//
//	Lease  renew renew renew │ new holder │ renew renew          changes every few seconds
//	epoch  ──────── 3 ───────┼──── 4 ─────────────────           guard of every fenced transaction

// epoch says who holds a lease, and the how-manieth holder that is.
type epoch struct {
	Holder string `json:"holder"` // "" = nobody
	Number int32  `json:"number"`
}

// leaseLost is the cause in the error that a fenced write gets when its author leads no longer.
const leaseLost metav1.CauseType = "LeaseLost"

func epochKey(lease api.Key) string { return "/~epochs/" + lease.Namespace + "/" + lease.Name }

func (r *Registry) readEpoch(e store.Entry) (epoch, error) {
	var known epoch
	if e.Mod == 0 {
		return known, nil
	}
	if err := json.Unmarshal(e.Value, &known); err != nil {
		return known, internalError(fmt.Errorf("%s: %w", e.Key, err))
	}
	return known, nil
}

// fence returns the guard of a fenced write, or an error when its author holds the lease no longer.
func (r *Registry) fence(ctx context.Context, w *write) ([]store.Guard, error) {
	if w.Fence == nil {
		return nil, nil
	}
	want := epoch{Holder: w.Fence.Holder, Number: w.Fence.Epoch}
	f, err := r.epochs.recall(ctx, r.store, epochKey(w.Fence.Lease), func(e epoch) bool { return e == want })
	if err != nil {
		return nil, err
	}
	if f.value != want || want.Holder == "" || f.guard.Mod == 0 {
		return nil, lost(w, f.value)
	}
	return []store.Guard{f.guard}, nil
}

func lost(w *write, now epoch) error {
	why := fmt.Errorf("the lease was lost: %s is held by %q in epoch %d, not by %q in epoch %d; stop leading",
		w.Fence.Lease, now.Holder, now.Number, w.Fence.Holder, w.Fence.Epoch)
	err := apierrors.NewConflict(w.Resource(), w.Key.Name, why)
	err.ErrStatus.Details.Causes = []metav1.StatusCause{{Type: leaseLost, Message: why.Error()}}
	return err
}

// epochOf is a Lease's epoch as it is now.
func (r *Registry) epochOf(ctx context.Context, lease api.Object) (fact[epoch], error) {
	return r.epochs.recall(ctx, r.store, epochKey(api.KeyOf(lease)), func(epoch) bool { return false })
}

// holdLease sets a Lease's leaseTransitions, which belongs to the system, and writes the epoch record when the holder changes.
func (r *Registry) holdLease(ctx context.Context, w *write, o, old api.Object, txn *store.Txn) error {
	lease, ok := o.(*coordinationv1.Lease)
	if !ok {
		return nil
	}
	if old != nil && holder(lease) == holder(old.(*coordinationv1.Lease)) {
		lease.Spec.LeaseTransitions = old.(*coordinationv1.Lease).Spec.LeaseTransitions
		return nil
	}
	known, err := r.epochOf(ctx, o)
	if err != nil {
		return err
	}
	next := epoch{Holder: holder(lease), Number: known.value.Number}
	if next.Holder != "" && known.guard.Mod != 0 {
		next.Number++
	}
	lease.Spec.LeaseTransitions = &next.Number
	return writeEpoch(txn, known, next)
}

// releaseLease leaves a removed Lease's epoch behind without a holder, so that the next holder's is higher.
func (r *Registry) releaseLease(ctx context.Context, o api.Object, txn *store.Txn) error {
	if _, ok := o.(*coordinationv1.Lease); !ok {
		return nil
	}
	known, err := r.epochOf(ctx, o)
	if err != nil || known.value.Holder == "" {
		return err
	}
	return writeEpoch(txn, known, epoch{Number: known.value.Number})
}

func writeEpoch(txn *store.Txn, known fact[epoch], next epoch) error {
	if known.guard.Mod != 0 && next == known.value || known.guard.Mod == 0 && next.Holder == "" {
		return nil
	}
	value, err := json.Marshal(next)
	txn.If = append(txn.If, known.guard)
	txn.Do = append(txn.Do, store.Op{Key: known.guard.Key, Value: value})
	return err
}

func holder(l *coordinationv1.Lease) string {
	if l.Spec.HolderIdentity == nil {
		return ""
	}
	return *l.Spec.HolderIdentity
}
