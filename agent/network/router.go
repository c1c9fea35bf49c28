//go:build linux

package network

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const (
	forwarding = "/proc/sys/net/ipv4/ip_forward" // everyone sees the own namespace's
	lo         = 1                               // the kernel's index of lo, in every namespace
)

// serviceRoute exists so that a connection from the node itself to a Service gets as far as the rules that rewrite or reject it,
// even where there is no default route.
func serviceRoute(c Config) *netlink.Route {
	return &netlink.Route{LinkIndex: lo, Dst: ipNet(c.ServiceCIDR.Masked()), Scope: netlink.SCOPE_LINK, Protocol: unix.RTPROT_STATIC}
}

// lonely is the address of a machine without any network, a laptop on a train: it needs one to speak to its own pods, and takes the
// gateway's, which they know a way to.
func lonely() *netlink.Addr {
	return &netlink.Addr{LinkIndex: lo, IPNet: host(gateway), Scope: unix.RT_SCOPE_UNIVERSE} // others are no source for what leaves by other links
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), 32)}
}

// setupRouter lets the node pass packets between its pods and the world.
func setupRouter(c Config) (wasOff bool, err error) {
	all, err := netlink.AddrList(nil, netlink.FAMILY_V4)
	if err == nil && !slices.ContainsFunc(all, func(a netlink.Addr) bool { return a.Scope == unix.RT_SCOPE_UNIVERSE }) {
		err = netlink.AddrReplace(nil, lonely())
	}
	if err != nil {
		return false, fmt.Errorf("give the node an address: %w", err)
	}
	before, err := os.ReadFile(forwarding)
	if err == nil {
		err = os.WriteFile(forwarding, []byte("1"), 0o644)
	}
	if err != nil {
		return false, fmt.Errorf("set ip_forward (pods can't be reached without it): %w", err)
	}
	if wasOff, err = writeTable(c, strings.TrimSpace(string(before)) != "1"); err != nil {
		return false, err
	}
	return wasOff, settleRouter(c)
}

// settleRouter is the part of it that others may remove, all by the way: the way to the Services, and the node's addresses.
func settleRouter(c Config) error {
	if c.ServiceCIDR.IsValid() {
		if err := netlink.RouteReplace(serviceRoute(c)); err != nil {
			return fmt.Errorf("route %s to lo: %w", c.ServiceCIDR, err)
		}
	}
	return settleAddresses(c, DNSAddress(c.ServiceCIDR), c.PodCIDR.Masked().Addr())
}

// settleAddresses leaves just these on lo, of the cluster's, for whoever binds them on this node: where DNS is answered, and the first of the
// podCIDR, which is the node's own among the pods. Their scope keeps them from being the source of what the node sends elsewhere.
func settleAddresses(c Config, want ...netip.Addr) error {
	have, err := netlink.AddrList(&netlink.Device{LinkAttrs: netlink.LinkAttrs{Index: lo}}, netlink.FAMILY_V4)
	for _, h := range have {
		a, _ := netip.AddrFromSlice(h.IP.To4())
		if h.Scope == unix.RT_SCOPE_HOST && (c.ClusterCIDR.Contains(a) || a == DNSAddress(c.ServiceCIDR)) && !slices.Contains(want, a) {
			err = errors.Join(err, netlink.AddrDel(nil, &h))
		}
	}
	for _, a := range want {
		if a.IsValid() {
			err = errors.Join(err, netlink.AddrReplace(nil, &netlink.Addr{LinkIndex: lo, IPNet: host(a.AsSlice()), Scope: unix.RT_SCOPE_HOST}))
		}
	}
	if err != nil {
		err = fmt.Errorf("give lo the node's addresses: %w", err)
	}
	return err
}

// teardownRouter undoes it. Forwarding is switched off again if it was off before, as the table remembers.
func teardownRouter(c Config) error {
	address := netlink.AddrDel(nil, lonely())
	if errors.Is(address, unix.EADDRNOTAVAIL) {
		address = nil
	}
	var route error
	if c.ServiceCIDR.IsValid() {
		if route = netlink.RouteDel(serviceRoute(c)); errors.Is(route, unix.ESRCH) {
			route = nil
		}
	}
	wasOff, table := deleteTable(c)
	if wasOff {
		table = errors.Join(table, os.WriteFile(forwarding, []byte("0"), 0o644))
	}
	return errors.Join(address, settleAddresses(c), route, table)
}

// wasOffChain is an empty chain: that it is there remembers that forwarding was off before we came, for as long as the table lives.
const wasOffChain = "forwarding_was_off"

// mendTable writes the table again if somebody has removed it, as `nft flush ruleset` and restarts of firewalls do.
func (n *Native) mendTable() error {
	conn, err := nftables.New()
	if err != nil {
		return err
	}
	if _, err := conn.ListChain(&nftables.Table{Family: nftables.TableFamilyIPv4, Name: tableName(n.config)}, "masquerade"); err == nil {
		return nil
	}
	_, err = writeTable(n.config, n.wasOff)
	return err
}

// writeTable replaces the node's table in one transaction:
//
//	chain masquerade  { type nat hook postrouting priority srcnat;  ip saddr <pods here> ip daddr != <all pods> masquerade }
//	chain output      { type filter hook output   priority filter;  ip daddr <services> ip daddr != <DNS> reject }
//	chain forward     { type filter hook forward  priority filter;  ip daddr <services> ip daddr != <DNS> reject }
//
// What has an endpoint was rewritten to it before the last two see it; so no packet to a Service's address ever leaves the machine.
func writeTable(c Config, forwardingWasOff bool) (wasOff bool, err error) {
	conn, table, wasOff, err := emptied(c)
	if err != nil {
		return false, err
	}
	conn.AddTable(table)
	if wasOff = wasOff || forwardingWasOff; wasOff {
		conn.AddChain(&nftables.Chain{Name: wasOffChain, Table: table})
	}
	masquerade := conn.AddChain(&nftables.Chain{Name: "masquerade", Table: table, Type: nftables.ChainTypeNAT,
		Hooknum: nftables.ChainHookPostrouting, Priority: nftables.ChainPriorityNATSource})
	if c.PodCIDR.IsValid() {
		add(conn, masquerade, address(source, expr.CmpOpEq, c.PodCIDR), address(destination, expr.CmpOpNeq, c.ClusterCIDR), []expr.Any{&expr.Masq{}})
	}
	if c.ServiceCIDR.IsValid() {
		var dns netip.Prefix // invalid: matches all
		if a := DNSAddress(c.ServiceCIDR); a.IsValid() {
			dns = netip.PrefixFrom(a, 32)
		}
		for name, hook := range map[string]*nftables.ChainHook{"output": nftables.ChainHookOutput, "forward": nftables.ChainHookForward} {
			chain := conn.AddChain(&nftables.Chain{Name: name, Table: table, Type: nftables.ChainTypeFilter,
				Hooknum: hook, Priority: nftables.ChainPriorityFilter})
			for _, reject := range rejects() {
				add(conn, chain, address(destination, expr.CmpOpEq, c.ServiceCIDR), address(destination, expr.CmpOpNeq, dns), reject)
			}
		}
	}
	if err := conn.Flush(); err != nil {
		return false, fmt.Errorf("write nft table %s (does the kernel have nf_tables?): %w", table.Name, err)
	}
	return wasOff, nil
}

// add puts a rule at the end of a chain.
func add(conn *nftables.Conn, to *nftables.Chain, parts ...[]expr.Any) {
	conn.AddRule(&nftables.Rule{Table: to.Table, Chain: to, Exprs: slices.Concat(parts...)})
}

// Offsets in the IPv4 header.
const (
	source      = 12
	destination = 16
)

// address matches one against a prefix.
func address(offset uint32, op expr.CmpOp, p netip.Prefix) []expr.Any {
	if !p.IsValid() {
		return nil
	}
	return []expr.Any{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: 4},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: net.CIDRMask(p.Bits(), 32), Xor: make([]byte, 4)},
		&expr.Cmp{Op: op, Register: 1, Data: p.Masked().Addr().AsSlice()},
	}
}

// rejects answer at once, each protocol in its own way: TCP with a reset, anything else with "port unreachable".
func rejects() [][]expr.Any {
	return [][]expr.Any{
		{
			&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
			&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{unix.IPPROTO_TCP}},
			&expr.Reject{Type: unix.NFT_REJECT_TCP_RST},
		},
		{&expr.Reject{Type: unix.NFT_REJECT_ICMP_UNREACH, Code: 3}},
	}
}

// tableName is the node's own, which nobody else writes.
func tableName(c Config) string { return "optimist_" + c.Cluster + "_" + c.Node }

// emptied begins a transaction that deletes the table, if there is one.
func emptied(c Config) (conn *nftables.Conn, table *nftables.Table, wasOff bool, err error) {
	if conn, err = nftables.New(); err != nil {
		return nil, nil, false, err
	}
	table = &nftables.Table{Family: nftables.TableFamilyIPv4, Name: tableName(c)}
	chain, err := conn.ListChain(table, wasOffChain)
	conn.AddTable(table) // so that the deletion finds one
	conn.DelTable(table)
	return conn, table, err == nil && chain != nil, nil
}

func deleteTable(c Config) (wasOff bool, err error) {
	conn, _, wasOff, err := emptied(c)
	if err == nil {
		err = conn.Flush()
	}
	if err != nil {
		return false, fmt.Errorf("delete nft table %s: %w", tableName(c), err)
	}
	return wasOff, nil
}
