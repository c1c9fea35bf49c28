//go:build linux

package network

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"reflect"
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
	next := maps.Clone(n.ports)
	delete(next, pod)
	for _, p := range ports {
		for other, theirs := range next {
			if other != pod && slices.ContainsFunc(theirs, func(e exposed) bool { return e.Meets(p) }) {
				return fmt.Errorf("host port %d/%s of pod %s belongs to pod %s on this node", p.Port, p.Protocol, pod, other)
			}
		}
		next[pod] = append(next[pod], exposed{p, pod, address})
	}
	return n.rewrite(next)
}

// rewrite makes these the node's ports.
func (n *Native) rewrite(next map[types.UID][]exposed) error {
	if reflect.DeepEqual(next, n.ports) {
		return nil
	}
	if _, err := writeTable(n.config, n.wasOff, next); err != nil {
		return err
	}
	before := n.ports
	n.ports = next
	return forgetFlows(before, next)
}

// addPorts writes the rules into a table that is being made.
func addPorts(conn *nftables.Conn, masquerade *nftables.Chain, services netip.Prefix, ports map[types.UID][]exposed) {
	if len(ports) == 0 {
		return
	}
	table := masquerade.Table
	chain := conn.AddChain(&nftables.Chain{Name: portsChain, Table: table})
	for name, hook := range map[string]*nftables.ChainHook{"prerouting": nftables.ChainHookPrerouting, "nat_output": nftables.ChainHookOutput} {
		base := conn.AddChain(&nftables.Chain{Name: name, Table: table, Type: nftables.ChainTypeNAT, Hooknum: hook, Priority: nftables.ChainPriorityNATDest})
		conn.AddRule(&nftables.Rule{Table: table, Chain: base, Exprs: append(address(destination, expr.CmpOpNeq, services), // DNS stays the node's
			&expr.Fib{Register: 1, FlagDADDR: true, ResultADDRTYPE: true}, &expr.Cmp{Register: 1, Data: binaryutil.NativeEndian.PutUint32(unix.RTN_LOCAL)},
			&expr.Verdict{Kind: expr.VerdictJump, Chain: portsChain})})
	}
	for _, all := range ports {
		own := netip.PrefixFrom(all[0].Address, 32)
		conn.AddRule(&nftables.Rule{Table: table, Chain: masquerade, Exprs: slices.Concat(
			address(source, expr.CmpOpEq, own), address(destination, expr.CmpOpEq, own), []expr.Any{&expr.Masq{}})})
		for _, e := range all {
			memory, _ := json.Marshal(e) // of these fields this never fails
			conn.AddRule(&nftables.Rule{Table: table, Chain: chain, UserData: memory, Exprs: e.rule()})
		}
	}
}

func (e exposed) rule() []expr.Any {
	to := address(destination, expr.CmpOpNeq, loopback)
	if e.IP.IsValid() && !e.IP.IsUnspecified() {
		to = append(to, address(destination, expr.CmpOpEq, netip.PrefixFrom(e.IP, 32))...)
	}
	return append(to,
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
		&expr.Cmp{Register: 1, Data: []byte{protocols[e.Protocol]}},
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2}, // the destination port
		&expr.Cmp{Register: 1, Data: binary.BigEndian.AppendUint16(nil, e.Port)},
		&expr.Immediate{Register: 1, Data: e.Address.AsSlice()},
		&expr.Immediate{Register: 2, Data: binary.BigEndian.AppendUint16(nil, e.To)},
		&expr.NAT{Type: expr.NATTypeDestNAT, Family: unix.NFPROTO_IPV4, RegAddrMin: 1, RegProtoMin: 2})
}

// readPorts are those that an earlier agent gave.
func readPorts(c Config) (map[types.UID][]exposed, error) {
	ports := map[types.UID][]exposed{}
	conn, err := nftables.New()
	if err != nil {
		return nil, err
	}
	table := &nftables.Table{Family: nftables.TableFamilyIPv4, Name: tableName(c)}
	rules, err := conn.GetRules(table, &nftables.Chain{Name: portsChain, Table: table})
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return nil, fmt.Errorf("read nft table %s: %w", table.Name, err)
	}
	for _, r := range rules {
		var e exposed
		if json.Unmarshal(r.UserData, &e) == nil { // what is not ours goes
			ports[e.Pod] = append(ports[e.Pod], e)
		}
	}
	return ports, nil
}

// forgetFlows ends UDP conversations through ports that lead elsewhere now: the kernel would go on sending them to where they led when they began.
func forgetFlows(before, after map[types.UID][]exposed) error {
	flows := udpFlows{}
	for _, ports := range []map[types.UID][]exposed{before, after} {
		for pod, all := range ports {
			for _, e := range all {
				if e.Protocol == "UDP" && !reflect.DeepEqual(before[pod], after[pod]) {
					flows[e.Port] = true
				}
			}
		}
	}
	if len(flows) == 0 {
		return nil
	}
	_, err := netlink.ConntrackDeleteFilters(netlink.ConntrackTable, netlink.FAMILY_V4, flows)
	return err
}

// udpFlows chooses those to ports of this node.
type udpFlows map[uint16]bool

// MatchConntrackFlow implements netlink.CustomConntrackFilter.
func (u udpFlows) MatchConntrackFlow(f *netlink.ConntrackFlow) bool {
	if f.Forward.Protocol != unix.IPPROTO_UDP || !u[f.Forward.DstPort] {
		return false
	}
	local, _ := net.InterfaceAddrs()
	return slices.ContainsFunc(local, func(a net.Addr) bool { n, ok := a.(*net.IPNet); return ok && n.IP.Equal(f.Forward.DstIP) })
}
