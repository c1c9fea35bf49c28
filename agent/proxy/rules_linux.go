package proxy

import (
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// Registers of four bytes. Keys are concatenated in them and overlap, so that each part is loaded once: client . frontend is who sticks, frontend . index
// finds a backend, frontend . known backend is alive.
const (
	rClient = unix.NFT_REG32_00 + iota
	rAddress
	rProtocol
	rPort
	rIndex
	rBackend // and its port in the next
	rScratch = unix.NFT_REG32_10
	rKnown   = rIndex // the backend that a client has, and its port in the next
)

const (
	masqueradeMark = 0x4000 // on a connection's first packet, from the choice of its backend to the masquerade: Kubernetes' own bit
	dynsetDelete   = 2      // NFT_DYNSET_OP_DELETE; not in x/sys yet
	saddr, daddr   = 12, 16 // where the addresses are in an IPv4 header
	nat, filter    = nftables.ChainTypeNAT, nftables.ChainTypeFilter
)

type columns = []nftables.SetDatatype

// sets are the table's, with the types of key and value: who sticks comes first. Those without a value are no maps.
func sets(t *nftables.Table) []*nftables.Set {
	front, back := columns{nftables.TypeIPAddr, nftables.TypeInetProto, nftables.TypeInetService}, columns{nftables.TypeIPAddr, nftables.TypeInetService}
	all := []*nftables.Set{{Name: "affinity", KeyType: concat(columns{nftables.TypeIPAddr}, front), DataType: concat(back), HasTimeout: true, Dynamic: true, Size: 1 << 18},
		{Name: "hairpin", KeyType: concat(columns{nftables.TypeIPAddr, nftables.TypeIPAddr})}}
	for _, scope := range []string{"any", "inside"} {
		all = append(all, &nftables.Set{Name: scope + "_services", KeyType: concat(front), DataType: nftables.TypeVerdict},
			&nftables.Set{Name: scope + "_backends", KeyType: concat(front, columns{nftables.TypeMark}), DataType: concat(back)},
			&nftables.Set{Name: scope + "_alive", KeyType: concat(front, back)})
	}
	for _, s := range all {
		s.Table, s.Concatenation, s.IsMap = t, true, s.DataType.Name != ""
	}
	return all
}

func concat(parts ...columns) nftables.SetDatatype {
	return nftables.MustConcatSetType(slices.Concat(parts...)...)
}

// chain is one with its rules.
type chain struct {
	nftables.Chain
	rules [][]expr.Any
}

// chains are those that are always there: see the package's picture.
func chains(n Net) []chain {
	base := func(name string, of nftables.ChainType, hook *nftables.ChainHook, priority *nftables.ChainPriority, rules ...[]expr.Any) chain {
		return chain{nftables.Chain{Name: name, Type: of, Hooknum: hook, Priority: priority}, rules}
	}
	dns := netip.PrefixFrom(n.DNS, 32)
	unserved := slices.Concat(within(daddr, expr.CmpOpEq, n.Services), within(daddr, expr.CmpOpNeq, dns), []expr.Any{&expr.Verdict{Kind: expr.VerdictGoto, Chain: "refuse"}})
	jump := func(to string) expr.Any { return &expr.Verdict{Kind: expr.VerdictJump, Chain: to} }
	inside, dispatch, masquerade := jump("inside"), jump("dispatch"), &expr.Masq{FullyRandom: true}
	fromPods, fromNode := append(within(saddr, expr.CmpOpEq, n.Pods), inside), append(local(&expr.Fib{FlagSADDR: true}), inside)
	marked := []expr.Any{&expr.Meta{Key: expr.MetaKeyMARK, Register: rScratch}, bits(native(masqueradeMark), native(0)), equal(native(masqueradeMark))}
	return []chain{
		{nftables.Chain{Name: "inside"}, lookups("inside_services", dns)},
		{nftables.Chain{Name: "dispatch"}, append([][]expr.Any{fromPods, fromNode}, lookups("any_services", dns)...)},
		{nftables.Chain{Name: "refuse"}, [][]expr.Any{
			{&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: rScratch}, equal([]byte{unix.IPPROTO_TCP}), &expr.Reject{Type: unix.NFT_REJECT_TCP_RST}},
			{&expr.Reject{Type: unix.NFT_REJECT_ICMP_UNREACH, Code: 3}}}}, // port unreachable
		base("prerouting", nat, nftables.ChainHookPrerouting, nftables.ChainPriorityNATDest, []expr.Any{dispatch}),
		base("output", nat, nftables.ChainHookOutput, nftables.ChainPriorityNATDest, []expr.Any{dispatch}),
		base("postrouting", nat, nftables.ChainHookPostrouting, nftables.ChainPriorityNATSource, slices.Concat(marked, mark(0), []expr.Any{masquerade}),
			[]expr.Any{load(saddr, rClient), load(daddr, rAddress), &expr.Lookup{SourceRegister: rClient, SetName: "hairpin"}, masquerade},
			slices.Concat(within(saddr, expr.CmpOpEq, n.Pods), within(daddr, expr.CmpOpNeq, n.Pods), []expr.Any{masquerade})),
		base("unserved_output", filter, nftables.ChainHookOutput, nftables.ChainPriorityFilter, unserved),
		base("unserved_forward", filter, nftables.ChainHookForward, nftables.ChainPriorityFilter, unserved),
	}
}

// lookups follow the verdict on the packet's destination in a map: by its address, and by the node port if the address is one of the node's own.
func lookups(set string, dns netip.Prefix) [][]expr.Any {
	follow := &expr.Lookup{SourceRegister: rAddress, SetName: set, IsDestRegSet: true}
	own := slices.Concat(local(&expr.Fib{FlagDADDR: true}), within(daddr, expr.CmpOpNeq, netip.MustParsePrefix("127.0.0.0/8")), within(daddr, expr.CmpOpNeq, dns))
	return [][]expr.Any{append(frontendOf("ip"), follow), slices.Concat(own, frontendOf("nodeport"), []expr.Any{follow})}
}

// chain makes the choice: the backend that the client has, if it is alive; else, that forgotten, one by chance. The last rule is for a packet that
// meets a change of the table between two lookups.
func (p pick) chain(pods netip.Prefix) chain {
	c := chain{Chain: nftables.Chain{Name: p.verdict()}}
	switch p.hidden {
	case everybody:
		c.rules = append(c.rules, mark(masqueradeMark))
	case outsiders:
		c.rules = append(c.rules, append(within(saddr, expr.CmpOpNeq, pods), mark(masqueradeMark)...))
	}
	find := func(register uint32, set string, to uint32) expr.Any {
		return &expr.Lookup{SourceRegister: register, SetName: set, IsDestRegSet: to != 0, DestRegister: to}
	}
	stick := func(op, to uint32) expr.Any {
		return &expr.Dynset{SrcRegKey: rClient, SrcRegData: to, SetName: "affinity", Operation: op, Timeout: time.Duration(p.seconds) * time.Second}
	}
	send := func(to uint32) expr.Any {
		return &expr.NAT{Type: expr.NATTypeDestNAT, Family: unix.NFPROTO_IPV4, RegAddrMin: to, RegProtoMin: to + 1}
	}
	known, backend := find(rClient, "affinity", rKnown), find(rAddress, p.scope+"_backends", rBackend)
	choices := [][]expr.Any{
		{known, find(rAddress, p.scope+"_alive", 0), stick(unix.NFT_DYNSET_OP_UPDATE, rKnown), send(rKnown)},
		{known, stick(dynsetDelete, rKnown)},
		{&expr.Numgen{Register: rIndex, Modulus: uint32(p.count), Type: unix.NFT_NG_RANDOM}, backend, stick(unix.NFT_DYNSET_OP_ADD, rBackend), send(rBackend)},
		{&expr.Immediate{Register: rIndex, Data: native(0)}, backend, send(rBackend)},
	}
	if p.seconds == 0 {
		choices = [][]expr.Any{slices.Delete(choices[2], 2, 3), choices[3]}
	}
	for _, choice := range choices {
		c.rules = append(c.rules, slices.Concat(frontendOf(p.at), []expr.Any{load(saddr, rClient)}, choice))
	}
	return c
}

// frontendOf loads a frontend's key. Of TCP, UDP and SCTP the port is at the same place.
func frontendOf(at string) []expr.Any {
	address := map[string]expr.Any{"ip": load(daddr, rAddress), "nodeport": &expr.Immediate{Register: rAddress, Data: everyAddress.AsSlice()}}[at]
	return []expr.Any{address, &expr.Meta{Key: expr.MetaKeyL4PROTO, Register: rProtocol}, &expr.Payload{DestRegister: rPort, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2}}
}

func load(offset, to uint32) expr.Any {
	return &expr.Payload{DestRegister: to, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: 4}
}

func equal(data []byte) expr.Any { return &expr.Cmp{Op: expr.CmpOpEq, Register: rScratch, Data: data} }

func native(v uint32) []byte { return binaryutil.NativeEndian.PutUint32(v) }

func bits(mask, xor []byte) expr.Any {
	return &expr.Bitwise{SourceRegister: rScratch, DestRegister: rScratch, Len: 4, Mask: mask, Xor: xor}
}

// within compares an address with a prefix; local wants it to be one of the node's.
func within(offset uint32, op expr.CmpOp, p netip.Prefix) []expr.Any {
	if !p.IsValid() {
		return nil
	}
	return []expr.Any{load(offset, rScratch), bits(net.CIDRMask(p.Bits(), 32), native(0)), &expr.Cmp{Op: op, Register: rScratch, Data: p.Masked().Addr().AsSlice()}}
}

func local(f *expr.Fib) []expr.Any {
	f.Register, f.ResultADDRTYPE = rScratch, true
	return []expr.Any{f, equal(native(unix.RTN_LOCAL))}
}

// mark sets masqueradeMark, or with 0 clears it.
func mark(to uint32) []expr.Any {
	return []expr.Any{&expr.Meta{Key: expr.MetaKeyMARK, Register: rScratch}, bits(native(^uint32(masqueradeMark)), native(to)),
		&expr.Meta{Key: expr.MetaKeyMARK, SourceRegister: true, Register: rScratch}}
}
