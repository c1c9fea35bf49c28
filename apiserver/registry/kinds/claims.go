package kinds

import (
	"encoding/binary"
	"net/netip"

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

// of is a typed object, or nil.
func of[T api.Object](o api.Object) T {
	typed, _ := o.(T)
	return typed
}

// nameOf is the key of whichever exists.
func nameOf(before, after api.Object) string {
	if after == nil {
		return api.KeyOf(before).String()
	}
	return api.KeyOf(after).String()
}
