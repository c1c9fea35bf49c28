package cluster

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

const forwarding = "/proc/sys/net/ipv4/ip_forward"

// prepare makes what a process needs of the network, or finds it made.
func (c Config) prepare(p process) error {
	if !c.Subnet.IsValid() || p.name != "apiserver" && c.netns(p.node) == "" {
		return nil
	}
	err := c.makeBridge()
	if err == nil && p.node != "" {
		err = c.makeNode(p.node)
	}
	if err != nil {
		return fmt.Errorf("the network of cluster %q: %w", c.Name, err)
	}
	return nil
}

// within runs do on a thread that is in the node's network namespace meanwhile: what do starts stays in it.
func (c Config) within(node string, do func() error) error {
	path := c.netns(node)
	if path == "" {
		return do()
	}
	inside, err := netns.GetFromPath(path)
	if err != nil {
		return fmt.Errorf("the network namespace of node %s: %w", node, err)
	}
	defer inside.Close()
	return away(func() error { return netns.Set(inside) }, do)
}

// away is a change of network namespace and what to do there; then the thread returns, or is never used again.
func away(enter, do func() error) error {
	runtime.LockOSThread()
	home, err := netns.Get()
	if err != nil {
		return err
	}
	defer home.Close()
	if err = enter(); err == nil {
		err = do()
	}
	if netns.Set(home) == nil {
		runtime.UnlockOSThread()
	}
	return err
}

// makeBridge makes the cluster's own link with the API server's address on it, and the way out for nodes behind it.
func (c Config) makeBridge() error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.HardwareAddr, attrs.MTU = c.bridge(), hardware(c.gateway()), mtu()
	if err := netlink.LinkAdd(&netlink.Bridge{LinkAttrs: attrs}); err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("add bridge %s: %w", attrs.Name, err)
	}
	link, err := netlink.LinkByName(attrs.Name)
	if err == nil {
		err = errors.Join(netlink.AddrReplace(link, &netlink.Addr{IPNet: c.onLink(c.gateway())}), netlink.LinkSetUp(link))
	}
	if err != nil {
		return fmt.Errorf("bridge %s: %w", attrs.Name, err)
	}
	before, err := os.ReadFile(forwarding)
	if err != nil {
		return err
	}
	return errors.Join(c.writeTable(strings.TrimSpace(string(before)) == "0"), os.WriteFile(forwarding, []byte("1"), 0o644))
}

func (c Config) onLink(a netip.Addr) *net.IPNet {
	return &net.IPNet{IP: a.AsSlice(), Mask: net.CIDRMask(c.Subnet.Bits(), 32)}
}

// hardware is a link's address, given at its creation: a bridge would change its own with every port, and udev those of others.
func hardware(a netip.Addr) net.HardwareAddr {
	return append(net.HardwareAddr{0x02, 0x6f}, a.AsSlice()...)
}

// mtu is that of the link by which packets leave the machine.
func mtu() int {
	routes, _ := netlink.RouteListFiltered(netlink.FAMILY_V4, &netlink.Route{}, netlink.RT_FILTER_DST) // the default ones
	for _, r := range routes {
		if link, err := netlink.LinkByIndex(r.LinkIndex); err == nil && link.Attrs().MTU > 0 {
			return link.Attrs().MTU
		}
	}
	return 1500
}

// makeNode makes the node's network namespace and its link to the bridge, up or down.
func (c Config) makeNode(node string) error {
	if err := os.MkdirAll(c.agentRoot(node), 0o755); err != nil { // tells even without cluster.json which nodes there are
		return err
	}
	inside, err := c.namespace(node)
	if err != nil {
		return err
	}
	defer inside.Close()
	there, err := netlink.NewHandleAt(inside, unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer there.Close()
	if _, err := there.LinkByName("eth0"); err != nil {
		if err := c.plug(node, inside); err != nil {
			return err
		}
	}
	lo, err1 := there.LinkByName("lo")
	eth0, err2 := there.LinkByName("eth0")
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	address := c.Members[node].Address
	if err := errors.Join(there.LinkSetUp(lo), there.AddrReplace(eth0, &netlink.Addr{IPNet: c.onLink(address)}), there.LinkSetUp(eth0),
		there.RouteReplace(&netlink.Route{LinkIndex: eth0.Attrs().Index, Gw: c.gateway().AsSlice()})); err != nil {
		return fmt.Errorf("eth0 of node %s: %w", node, err)
	}
	return c.setLink(node)
}

// namespace opens the node's, or makes it. After a reboot the file may be there still, but nothing behind it.
func (c Config) namespace(node string) (netns.NsHandle, error) {
	path := c.netns(node)
	var fs unix.Statfs_t
	if unix.Statfs(path, &fs) == nil && fs.Type == unix.NSFS_MAGIC {
		return netns.GetFromPath(path)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return netns.None(), err
	}
	inside := netns.None()
	err := away(func() (err error) { inside, err = netns.NewNamed(filepath.Base(path)); return err }, func() error { return nil })
	if err != nil {
		return inside, fmt.Errorf("make network namespace %s: %w", path, err)
	}
	return inside, nil
}

// plug connects a namespace with the bridge. The port stays down until all is well.
func (c Config) plug(node string, inside netns.NsHandle) error {
	bridge, err := netlink.LinkByName(c.bridge())
	if err != nil {
		return err
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MasterIndex, attrs.MTU = c.port(node), bridge.Attrs().Index, bridge.Attrs().MTU
	veth := &netlink.Veth{LinkAttrs: attrs, PeerName: "eth0", PeerNamespace: netlink.NsFd(inside), PeerMTU: uint32(attrs.MTU), PeerHardwareAddr: hardware(c.Members[node].Address)}
	if err := errors.Join(deleteLink(attrs.Name), netlink.LinkAdd(veth)); err != nil {
		return fmt.Errorf("link %s of node %s: %w", attrs.Name, node, err)
	}
	return nil
}

// setLink joins the node with the others, or cuts it off.
func (c Config) setLink(node string) error {
	link, err := netlink.LinkByName(c.port(node))
	set := netlink.LinkSetUp
	if c.Members[node].Cut {
		set = netlink.LinkSetDown
	}
	if err == nil {
		err = set(link)
	}
	if err != nil {
		return fmt.Errorf("link %s of node %s: %w", c.port(node), node, err)
	}
	return nil
}

func deleteLink(name string) error {
	link, err := netlink.LinkByName(name)
	if err == nil {
		err = netlink.LinkDel(link)
	}
	if missing := (netlink.LinkNotFoundError{}); errors.As(err, &missing) || errors.Is(err, unix.ENODEV) { // it may go with its peer at any moment
		return nil
	}
	return err
}

// wasOffChain remembers, as long as the table lives, that forwarding was off before we came.
const wasOffChain = "forwarding_was_off"

// writeTable replaces the cluster's nft table:
//
//	chain masquerade { ip saddr <nodes> oif != <bridge> masquerade }                               the way out
//	chain input      { ip daddr <API server> ip saddr != <pods> ip saddr != <nodes> iif != lo drop }   nobody else's way in
func (c Config) writeTable(forwardingWasOff bool) error {
	conn, table, wasOff, err := c.emptied()
	if err != nil {
		return err
	}
	conn.AddTable(table)
	if wasOff || forwardingWasOff {
		conn.AddChain(&nftables.Chain{Name: wasOffChain, Table: table})
	}
	api := netip.PrefixFrom(c.gateway(), 32)
	for _, chain := range []struct {
		nftables.Chain
		rule []expr.Any
	}{
		{nftables.Chain{Name: "masquerade", Type: nftables.ChainTypeNAT, Hooknum: nftables.ChainHookPostrouting, Priority: nftables.ChainPriorityNATSource},
			slices.Concat(address(12, expr.CmpOpEq, c.Subnet), otherLink(expr.MetaKeyOIFNAME, c.bridge()), []expr.Any{&expr.Masq{}})},
		{nftables.Chain{Name: "input", Type: nftables.ChainTypeFilter, Hooknum: nftables.ChainHookInput, Priority: nftables.ChainPriorityFilter},
			slices.Concat(address(16, expr.CmpOpEq, api), address(12, expr.CmpOpNeq, c.ClusterCIDR), address(12, expr.CmpOpNeq, c.Subnet), otherLink(expr.MetaKeyIIFNAME, "lo"),
				[]expr.Any{&expr.Verdict{Kind: expr.VerdictDrop}})},
	} {
		chain.Table = table
		conn.AddRule(&nftables.Rule{Table: table, Chain: conn.AddChain(&chain.Chain), Exprs: chain.rule})
	}
	if err := conn.Flush(); err != nil {
		return fmt.Errorf("write nft table %s (does the kernel have nf_tables?): %w", table.Name, err)
	}
	return nil
}

// address compares a packet's source (at 12 in the header) or destination (at 16) with a range.
func address(offset uint32, op expr.CmpOp, p netip.Prefix) []expr.Any {
	return []expr.Any{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: 4},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: net.CIDRMask(p.Bits(), 32), Xor: make([]byte, 4)},
		&expr.Cmp{Op: op, Register: 1, Data: p.Masked().Addr().AsSlice()},
	}
}

// otherLink says that a packet comes, or goes, by another link.
func otherLink(key expr.MetaKey, name string) []expr.Any {
	data := make([]byte, unix.IFNAMSIZ)
	copy(data, name)
	return []expr.Any{&expr.Meta{Key: key, Register: 1}, &expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: data}}
}

// emptied begins a transaction that deletes the table, if there is one.
func (c Config) emptied() (conn *nftables.Conn, table *nftables.Table, wasOff bool, err error) {
	if conn, err = nftables.New(); err != nil {
		return nil, nil, false, err
	}
	table = &nftables.Table{Family: nftables.TableFamilyIPv4, Name: "optimist_" + c.Name}
	chain, err := conn.ListChain(table, wasOffChain)
	conn.AddTable(table) // so that the deletion finds one
	conn.DelTable(table)
	return conn, table, err == nil && chain != nil, nil
}

// removeLinks removes links, namespaces and rules of the whole cluster.
func (c Config) removeLinks() error {
	var faults []error
	for _, node := range c.Nodes {
		faults = append(faults, c.removeNode(node))
	}
	faults = append(faults, deleteLink(c.bridge()))
	conn, _, wasOff, err := c.emptied()
	if err == nil {
		err = conn.Flush()
	}
	if wasOff && err == nil {
		err = os.WriteFile(forwarding, []byte("0"), 0o644)
	}
	return errors.Join(append(faults, err)...)
}

// removeNode removes a node's link at once, and its namespace, which goes with whatever is in it.
func (c Config) removeNode(node string) error {
	if err := deleteLink(c.port(node)); err != nil {
		return err
	}
	path := filepath.Join(namespaces, c.cgroup(node))
	err := unix.Unmount(path, unix.MNT_DETACH)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOENT) { // nothing is mounted there
		err = nil
	}
	if err == nil {
		if err = os.Remove(path); errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
	}
	return err
}
