package kinds

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"maps"
	"net/netip"
	"slices"

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

// ledger collects the claims of one object: keys below /claims/ whose value names the holder. What it held before and no longer wants is
// released; what it wants and did not hold joins the transaction with a guard that nobody else has it. Two writers that choose the same
// key therefore conflict; the loser runs again and sees that it is taken.
type ledger struct {
	store  store.Store
	holder string          // "default/web"
	held   map[string]bool // before this write
	wanted map[string]bool // after it
}

// newLedger is for the write that makes one state of an object of another; held is what the former holds.
func newLedger(s store.Store, before, after api.Object, held ...string) *ledger {
	l := &ledger{store: s, holder: api.KeyOf(cmp.Or(after, before)).String(), held: map[string]bool{}, wanted: map[string]bool{}}
	for _, key := range held {
		l.held[key] = true
	}
	return l
}

// take claims a key, or says that it is taken.
func (l *ledger) take(ctx context.Context, key string, taken error) error {
	ok, err := l.free(ctx, key)
	if err == nil && !ok {
		err = taken
	}
	return err
}

// free claims a key if nobody else has it.
func (l *ledger) free(ctx context.Context, key string) (bool, error) {
	if !l.held[key] && !l.wanted[key] {
		if e, err := l.store.Get(ctx, key, 0); err != nil || e.Mod != 0 {
			return false, err
		}
	}
	l.wanted[key] = true
	return true, nil
}

// pool is a row of keys of which an object may take any.
type pool struct {
	prefix string // of all its keys
	size   int
	key    func(i int) string
}

const guesses = 16

// takeAny claims one key of a pool and returns its place there, or says that it is full. It first guesses, starting at a place that follows
// from the holder's name, which succeeds at once while the pool is not nearly full; only then does it read what is taken.
func (l *ledger) takeAny(ctx context.Context, p pool, full error) (int, error) {
	if p.size <= 0 {
		return 0, full
	}
	first, step := spread(l.holder, p.size)
	for i := range min(guesses, p.size) {
		at := (first + i*step) % p.size
		if l.wanted[p.key(at)] { // by this very object, for another purpose
			continue
		}
		if ok, err := l.free(ctx, p.key(at)); ok || err != nil {
			return at, err
		}
	}
	entries, _, err := l.store.List(ctx, store.Range{Prefix: p.prefix}, 0)
	if err != nil {
		return 0, err
	}
	taken := maps.Clone(l.wanted)
	for _, e := range entries {
		taken[e.Key] = true
	}
	for i := range p.size {
		if at := (first + i) % p.size; !taken[p.key(at)] {
			l.wanted[p.key(at)] = true
			return at, nil
		}
	}
	return 0, full
}

// spread makes a first place and an odd step of a name.
func spread(name string, size int) (first, step int) {
	h := fnv.New64a()
	h.Write([]byte(name))
	sum := h.Sum64()
	return int(sum % uint64(size)), int(sum>>32%1021) | 1
}

// txn is what must join the object's transaction. It is in order, so that the same write is always the same transaction.
func (l *ledger) txn() (t store.Txn) {
	for _, key := range slices.Sorted(maps.Keys(l.wanted)) {
		if !l.held[key] {
			t.If = append(t.If, store.Guard{Key: key})
			t.Do = append(t.Do, store.Op{Key: key, Value: []byte(l.holder)})
		}
	}
	for _, key := range slices.Sorted(maps.Keys(l.held)) {
		if !l.wanted[key] {
			t.Do = append(t.Do, store.Op{Key: key})
		}
	}
	return t
}
