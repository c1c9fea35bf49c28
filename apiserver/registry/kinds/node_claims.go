package kinds

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"optimist/apiserver/registry"
	"optimist/apiserver/store"
	"optimist/internal/api"
)

// claimNode gives a Node its part of the pods' range in the transaction that creates it. Without a range the network is somebody else's.
func claimNode(ctx context.Context, c registry.Claimer, before, after api.Object) (store.Txn, error) {
	old, now := of[*corev1.Node](before), of[*corev1.Node](after)
	l := newLedger(c.Store, nameOf(before, after), podCIDRKeys(old))
	switch {
	case now == nil:
		return l.txn(), nil
	case now.Spec.PodCIDR != "":
		if err := takePodCIDR(ctx, l, now); err != nil {
			return store.Txn{}, err
		}
	case c.ClusterCIDR.Addr().Is4():
		if err := choosePodCIDR(ctx, l, c.Ranges, now); err != nil {
			return store.Txn{}, err
		}
	}
	return l.txn(), nil
}

func podCIDRKeys(n *corev1.Node) []string {
	if n == nil || n.Spec.PodCIDR == "" {
		return nil
	}
	return []string{podCIDRs + n.Spec.PodCIDR}
}

func takePodCIDR(ctx context.Context, l *ledger, n *corev1.Node) error {
	ok, err := l.take(ctx, podCIDRs+n.Spec.PodCIDR)
	if err != nil || ok {
		return err
	}
	return api.NodeKind.Invalid(n.Name, field.ErrorList{
		field.Invalid(field.NewPath("spec", "podCIDR"), n.Spec.PodCIDR, "belongs to another node; leave it out to be given a free one")})
}

func choosePodCIDR(ctx context.Context, l *ledger, r registry.Ranges, n *corev1.Node) error {
	cidr := func(i int) string { return subnet(r.ClusterCIDR, r.NodeBits, i).String() }
	at, err := l.takeAny(ctx, pool{prefix: podCIDRs, size: subnets(r.ClusterCIDR, r.NodeBits), key: func(i int) string { return podCIDRs + cidr(i) }})
	if err != nil {
		return err
	}
	if at < 0 {
		return api.NodeKind.Invalid(n.Name, field.ErrorList{field.Invalid(field.NewPath("spec", "podCIDR"), "",
			fmt.Sprintf("all %d ranges of /%d in %s belong to nodes; delete a Node, or start the cluster with a larger --cluster-cidr",
				subnets(r.ClusterCIDR, r.NodeBits), r.NodeBits, r.ClusterCIDR))})
	}
	n.Spec.PodCIDR, n.Spec.PodCIDRs = cidr(at), []string{cidr(at)}
	return nil
}
