package kinds

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"optimist/apiserver/registry"
	"optimist/apiserver/store"
	"optimist/internal/api"
)

// The cluster's scarce things, each a key:
//
//	/claims/podcidr/10.244.3.0/24      → n1
//	/claims/clusterip/10.96.14.2       → default/web
//	/claims/nodeport/30080             → default/web
//	/claims/priorityclass-default      → normal
//	/claims/priorityclass/<name>       → the class's value and policy, which pods look up

const (
	podCIDRs   = "/claims/podcidr/"
	clusterIPs = "/claims/clusterip/"
	nodePorts  = "/claims/nodeport/"
)

// maxPool bounds how many keys of a huge range are considered.
const maxPool = 1 << 20

// subnets is how many parts of a size fit into a range.
func subnets(whole netip.Prefix, bits int) int {
	if bits < whole.Bits() || bits > 32 {
		return 0
	}
	return min(1<<(bits-whole.Bits()), maxPool)
}

// subnet is the i-th part of a range.
func subnet(whole netip.Prefix, bits, i int) netip.Prefix {
	return netip.PrefixFrom(addressAt(whole, i<<(32-bits)), bits)
}

// addressAt is the i-th address of a range.
func addressAt(whole netip.Prefix, i int) netip.Addr {
	first := whole.Masked().Addr().As4()
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], binary.BigEndian.Uint32(first[:])+uint32(i))
	return netip.AddrFrom4(b)
}

// claimNode gives a Node its part of the pods' range in the transaction that creates it. Without a range the network is somebody else's.
func claimNode(ctx context.Context, c registry.Claimer, before, after api.Object) (store.Txn, error) {
	old, now := of[corev1.Node](before), of[corev1.Node](after)
	l := newLedger(c.Store, before, after)
	if old.Spec.PodCIDR != "" {
		l.held[podCIDRs+old.Spec.PodCIDR] = true
	}
	refuse := func(why string) error {
		return api.NodeKind.Invalid(now.Name, field.ErrorList{field.Invalid(field.NewPath("spec", "podCIDR"), now.Spec.PodCIDR, why)})
	}
	var err error
	switch n := subnets(c.ClusterCIDR, c.NodeBits); {
	case after == nil:
	case now.Spec.PodCIDR != "":
		err = l.take(ctx, podCIDRs+now.Spec.PodCIDR, refuse("belongs to another node; leave it out to be given a free one"))
	case c.ClusterCIDR.Addr().Is4():
		cidr := func(i int) string { return subnet(c.ClusterCIDR, c.NodeBits, i).String() }
		full := refuse(fmt.Sprintf("all %d ranges of /%d in %s belong to nodes; delete a Node, or start the cluster with a larger --cluster-cidr", n, c.NodeBits, c.ClusterCIDR))
		var at int
		if at, err = l.takeAny(ctx, pool{prefix: podCIDRs, size: n, key: func(i int) string { return podCIDRs + cidr(i) }}, full); err == nil {
			now.Spec.PodCIDR, now.Spec.PodCIDRs = cidr(at), []string{cidr(at)}
		}
	}
	return l.txn(), err
}

// of is a typed object; an empty one for nil.
func of[T any, P interface {
	*T
	api.Object
}](o api.Object) P {
	if typed, ok := o.(P); ok {
		return typed
	}
	return new(T)
}
