//go:build linux

package network

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
	"k8s.io/apimachinery/pkg/types"
)

// exposed is a port of the node that leads to a pod. Its rule carries it as JSON, so that the next agent finds it.
type exposed struct {
	HostPort
	Pod     types.UID
	Address netip.Addr
}

const portsChain = "host_ports"

var (
	protocols = map[string]uint8{"TCP": unix.IPPROTO_TCP, "UDP": unix.IPPROTO_UDP, "SCTP": unix.IPPROTO_SCTP}
	loopback  = netip.MustParsePrefix("127.0.0.0/8") // to rewrite these would need route_localnet, which lets pods reach what listens on 127.0.0.1
)

// expose gives a pod these ports of the node, and no others.
func (n *Native) expose(pod types.UID, address netip.Addr, ports []HostPort) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	next := slices.DeleteFunc(slices.Clone(n.ports), func(e exposed) bool { return e.Pod == pod })
	for _, p := range ports {
		if i := slices.IndexFunc(next, func(e exposed) bool { return e.Pod != pod && e.meets(p) }); i >= 0 {
			return fmt.Errorf("host port %d/%s of pod %s belongs to pod %s on this node", p.Port, p.Protocol, pod, next[i].Pod)
		}
		next = append(next, exposed{p, pod, address})
	}
	return n.rewrite(next)
}

func (p HostPort) meets(o HostPort) bool {
	return p.Port == o.Port && p.Protocol == o.Protocol && (p.IP == o.IP || p.IP.IsUnspecified() || o.IP.IsUnspecified())
}

// rewrite makes these the node's ports, and ends UDP conversations through those that lead elsewhere now: the kernel would go on with them as they began.
func (n *Native) rewrite(next []exposed) error {
	before, moved := n.ports, udpFlows{}
	if slices.Equal(before, next) {
		return nil
	}
	if _, err := writeTable(n.config, n.wasOff, next); err != nil {
		return err
	}
	n.ports = next
	for _, e := range slices.Concat(before, next) {
		if e.Protocol == "UDP" && !(slices.Contains(before, e) && slices.Contains(next, e)) {
			moved[e.Port] = true
		}
	}
	if len(moved) == 0 {
		return nil
	}
	_, err := netlink.ConntrackDeleteFilters(netlink.ConntrackTable, netlink.FAMILY_V4, moved)
	return err
}

// udpFlows chooses those to ports of this node.
type udpFlows map[uint16]bool

// MatchConntrackFlow implements netlink.CustomConntrackFilter.
func (u udpFlows) MatchConntrackFlow(f *netlink.ConntrackFlow) bool {
	local, _ := net.InterfaceAddrs()
	return f.Forward.Protocol == unix.IPPROTO_UDP && u[f.Forward.DstPort] &&
		slices.ContainsFunc(local, func(a net.Addr) bool { n, ok := a.(*net.IPNet); return ok && n.IP.Equal(f.Forward.DstIP) })
}

// addPorts writes the rules into a table that is being made. A pod that asks itself by its own port must not see its own address come from outside.
func addPorts(conn *nftables.Conn, masquerade *nftables.Chain, services netip.Prefix, ports []exposed) {
	if len(ports) == 0 {
		return
	}
	chain := conn.AddChain(&nftables.Chain{Name: portsChain, Table: masquerade.Table})
	for name, hook := range map[string]*nftables.ChainHook{"prerouting": nftables.ChainHookPrerouting, "nat_output": nftables.ChainHookOutput} {
		add(conn, conn.AddChain(&nftables.Chain{Name: name, Table: chain.Table, Type: nftables.ChainTypeNAT, Hooknum: hook, Priority: nftables.ChainPriorityNATDest}),
			nil, address(destination, expr.CmpOpNeq, services), []expr.Any{ // DNS stays the node's
				&expr.Fib{Register: 1, FlagDADDR: true, ResultADDRTYPE: true}, &expr.Cmp{Register: 1, Data: binaryutil.NativeEndian.PutUint32(unix.RTN_LOCAL)},
				&expr.Verdict{Kind: expr.VerdictJump, Chain: portsChain}})
	}
	for _, e := range ports {
		memory, _ := json.Marshal(e) // of these fields this never fails
		own, only := netip.PrefixFrom(e.Address, 32), netip.Prefix{}
		if !e.IP.IsUnspecified() {
			only = netip.PrefixFrom(e.IP, 32)
		}
		add(conn, masquerade, nil, address(source, expr.CmpOpEq, own), address(destination, expr.CmpOpEq, own), []expr.Any{&expr.Masq{}})
		add(conn, chain, memory, address(destination, expr.CmpOpNeq, loopback), address(destination, expr.CmpOpEq, only), []expr.Any{
			&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
			&expr.Cmp{Register: 1, Data: []byte{protocols[e.Protocol]}},
			&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2}, // the destination port
			&expr.Cmp{Register: 1, Data: binary.BigEndian.AppendUint16(nil, e.Port)},
			&expr.Immediate{Register: 1, Data: e.Address.AsSlice()},
			&expr.Immediate{Register: 2, Data: binary.BigEndian.AppendUint16(nil, e.To)},
			&expr.NAT{Type: expr.NATTypeDestNAT, Family: unix.NFPROTO_IPV4, RegAddrMin: 1, RegProtoMin: 2}})
	}
}

// readPorts are those that an earlier agent gave.
func readPorts(c Config) (ports []exposed, err error) {
	conn, err := nftables.New()
	if err != nil {
		return nil, err
	}
	table := &nftables.Table{Family: nftables.TableFamilyIPv4, Name: tableName(c)}
	rules, err := conn.GetRules(table, &nftables.Chain{Name: portsChain, Table: table})
	for _, r := range rules {
		var e exposed
		if json.Unmarshal(r.UserData, &e) == nil { // what is not ours goes
			ports = append(ports, e)
		}
	}
	if errors.Is(err, unix.ENOENT) {
		err = nil
	}
	return ports, err
}
