package node

import (
	"context"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"optimist/internal/api"
	"optimist/internal/wake"
)

const (
	renewEvery    = 10 * time.Second
	firstRetry    = 20 * time.Millisecond // when a cluster starts, the leases' namespace is only just not there yet;
	lastRetry     = time.Second           // later the API server is away for longer
	leaseDuration = 40                    // seconds
	leases        = "kube-node-lease"
)

// renewals says every 10 s that this node lives.
func (k *Keeper) renewals(ctx context.Context) error {
	for retry := firstRetry; ctx.Err() == nil; {
		err := k.Renew(ctx)
		next := renewEvery
		switch {
		case err == nil:
			retry = firstRetry
		case ctx.Err() == nil:
			k.config.Log.Warn("cannot renew the node's lease; trying again", "node", k.config.Name, "error", err)
			next, retry = retry, min(2*retry, lastRetry)
		}
		_ = wake.After(ctx, next, nil)
	}
	return nil
}

// Renew says once that this node lives. After a failure the lease is read again, or made, before it is written again.
func (k *Keeper) Renew(ctx context.Context) (err error) {
	save, held := api.Leases.Update, k.held
	if held == nil {
		held, err = api.Leases.Get(ctx, k.config.Service, api.Key{Namespace: leases, Name: k.config.Name})
	}
	if apierrors.IsNotFound(err) {
		save, held, err = api.Leases.Create, &coordinationv1.Lease{}, nil
	}
	if err == nil {
		held, err = save(ctx, k.config.Service, k.renewed(held))
	}
	if k.held = held; err != nil {
		k.held = nil
	}
	return err
}

func (k *Keeper) renewed(old *coordinationv1.Lease) *coordinationv1.Lease {
	l := old.DeepCopy()
	l.Namespace, l.Name = leases, k.config.Name
	now, seconds := metav1.NewMicroTime(time.Now()), int32(leaseDuration)
	l.Spec.HolderIdentity, l.Spec.LeaseDurationSeconds, l.Spec.RenewTime = &k.config.Name, &seconds, &now
	if n, ok := k.config.Nodes.Get(api.Key{Name: k.config.Name}); ok {
		l.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "Node", Name: n.Name, UID: n.UID}}
	}
	return l
}
