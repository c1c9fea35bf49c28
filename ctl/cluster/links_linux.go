package cluster

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

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

// steps takes one after the other, up to the first that fails.
func steps(all ...func() error) error {
	for _, do := range all {
		if err := do(); err != nil {
			return err
		}
	}
	return nil
}

// makeBridge makes the cluster's own link with the API server's address on it, and the rules of its way in and out.
func (c Config) makeBridge() error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.HardwareAddr = c.bridge(), append(net.HardwareAddr{0x02, 0x6f}, c.gateway().AsSlice()...) // else it would change with every port
	if err := netlink.LinkAdd(&netlink.Bridge{LinkAttrs: attrs}); err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("add bridge %s: %w", attrs.Name, err)
	}
	bridge, err := netlink.LinkByName(attrs.Name)
	if err != nil {
		return err
	}
	return steps(
		func() error { return netlink.AddrReplace(bridge, c.onLink(c.gateway())) },
		func() error { return netlink.LinkSetUp(bridge) },
		func() error { return c.writeTable(true) })
}

func (c Config) onLink(a netip.Addr) *netlink.Addr {
	return &netlink.Addr{IPNet: &net.IPNet{IP: a.AsSlice(), Mask: net.CIDRMask(c.Subnet.Bits(), 32)}}
}

// makeNode makes the node's network namespace and its link to the bridge, up or down. Its folder tells which nodes there are, should cluster.json be lost.
func (c Config) makeNode(node string) error {
	if err := os.MkdirAll(c.agentRoot(node), 0o755); err != nil {
		return err
	}
	inside, err := c.namespace(node)
	if err != nil {
		return fmt.Errorf("network namespace %s: %w", c.netns(node), err)
	}
	defer inside.Close()
	there, err := netlink.NewHandleAt(inside, unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer there.Close()
	var eth0 netlink.Link
	lo := &netlink.Device{LinkAttrs: netlink.LinkAttrs{Index: 1}} // in every namespace
	if err = steps(
		func() error { return c.plug(node, inside, there) },
		func() error { return there.LinkSetUp(lo) },
		func() error { eth0, err = there.LinkByName("eth0"); return err },
		func() error { return there.AddrReplace(eth0, c.onLink(c.Members[node].Address)) },
		func() error { return there.LinkSetUp(eth0) },
		func() error {
			return there.RouteReplace(&netlink.Route{LinkIndex: eth0.Attrs().Index, Gw: c.gateway().AsSlice()})
		},
		func() error { return c.setLink(node) },
	); err != nil {
		return fmt.Errorf("link %s of node %s: %w", c.port(node), node, err)
	}
	return nil
}

// namespace opens the node's, or makes it. After a reboot the file may be there still, but nothing behind it.
func (c Config) namespace(node string) (inside netns.NsHandle, err error) {
	path := c.netns(node)
	var fs unix.Statfs_t
	if unix.Statfs(path, &fs) == nil && fs.Type == unix.NSFS_MAGIC {
		return netns.GetFromPath(path)
	}
	if err = errors.Join(os.RemoveAll(path), os.MkdirAll(namespaces, 0o755), os.WriteFile(path, nil, 0o444)); err == nil {
		err = exec.Command("unshare", "--net="+path, "true").Run()
	}
	if err != nil {
		return netns.None(), err
	}
	return netns.GetFromPath(path)
}

// plug connects a namespace with the bridge, unless it is. The port is down until setLink.
func (c Config) plug(node string, inside netns.NsHandle, there *netlink.Handle) error {
	if _, err := there.LinkByName("eth0"); err == nil {
		return nil
	}
	bridge, err := netlink.LinkByName(c.bridge())
	if err != nil {
		return err
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MasterIndex = c.port(node), bridge.Attrs().Index
	return errors.Join(deleteLink(attrs.Name), netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: "eth0", PeerNamespace: netlink.NsFd(inside)}))
}

// setLink joins the node with the others, or cuts it off.
func (c Config) setLink(node string) error {
	link, err := netlink.LinkByName(c.port(node))
	switch {
	case err != nil:
		return err
	case c.Members[node].Cut:
		return netlink.LinkSetDown(link)
	}
	return netlink.LinkSetUp(link)
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

const (
	forwarding      = "/proc/sys/net/ipv4/ip_forward"
	wasOffChain     = "forwarding_was_off" // remembers, as long as the table lives, how it was before we came
	from, to    int = 12, 16               // where the addresses stand in an IPv4 header
)

// writeTable replaces the cluster's nft table, or removes it:
//
//	chain masquerade { ip saddr <nodes> oifname != <bridge> masquerade }                                   the way out
//	chain input      { ip daddr <API server> ip saddr != <pods> ip saddr != <nodes> iifname != lo drop }   nobody else's way in
func (c Config) writeTable(wanted bool) error {
	conn, err := nftables.New()
	if err != nil {
		return err
	}
	before, _ := os.ReadFile(forwarding)
	table := &nftables.Table{Family: nftables.TableFamilyIPv4, Name: "optimist_" + c.Name}
	memo, err := conn.ListChain(table, wasOffChain)
	wasOff := err == nil && memo != nil || wanted && string(before) == "0\n"
	conn.AddTable(table) // so that the deletion finds one
	conn.DelTable(table)
	value := "0"
	if wanted {
		value = "1"
		conn.AddTable(table)
		if wasOff {
			conn.AddChain(&nftables.Chain{Name: wasOffChain, Table: table})
		}
		for chain, rule := range map[*nftables.Chain][]expr.Any{
			{Name: "masquerade", Type: nftables.ChainTypeNAT, Hooknum: nftables.ChainHookPostrouting, Priority: nftables.ChainPriorityNATSource}: slices.Concat(
				address(from, expr.CmpOpEq, c.Subnet), otherLink(expr.MetaKeyOIFNAME, c.bridge()), []expr.Any{&expr.Masq{}}),
			{Name: "input", Type: nftables.ChainTypeFilter, Hooknum: nftables.ChainHookInput, Priority: nftables.ChainPriorityFilter}: slices.Concat(
				address(to, expr.CmpOpEq, netip.PrefixFrom(c.gateway(), 32)), address(from, expr.CmpOpNeq, c.ClusterCIDR), address(from, expr.CmpOpNeq, c.Subnet),
				otherLink(expr.MetaKeyIIFNAME, "lo"), []expr.Any{&expr.Verdict{Kind: expr.VerdictDrop}}),
		} {
			chain.Table = table
			conn.AddRule(&nftables.Rule{Table: table, Chain: conn.AddChain(chain), Exprs: rule})
		}
	}
	if err := conn.Flush(); err != nil {
		return fmt.Errorf("write nft table %s (does the kernel have nf_tables?): %w", table.Name, err)
	}
	if wanted || wasOff {
		return os.WriteFile(forwarding, []byte(value), 0o644)
	}
	return nil
}

func address(at int, op expr.CmpOp, p netip.Prefix) []expr.Any {
	return []expr.Any{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: uint32(at), Len: 4},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: net.CIDRMask(p.Bits(), 32), Xor: make([]byte, 4)},
		&expr.Cmp{Op: op, Register: 1, Data: p.Masked().Addr().AsSlice()}}
}

func otherLink(key expr.MetaKey, name string) []expr.Any {
	return []expr.Any{&expr.Meta{Key: key, Register: 1}, &expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: append([]byte(name), make([]byte, unix.IFNAMSIZ-len(name))...)}}
}

// removeLinks removes links, namespaces and rules of the whole cluster. Who is not root could make none, and may not even look for rules.
func (c Config) removeLinks() error {
	if os.Geteuid() != 0 {
		return nil
	}
	var faults []error
	for _, node := range c.Nodes {
		faults = append(faults, c.removeNode(node))
	}
	return errors.Join(append(faults, deleteLink(c.bridge()), c.writeTable(false))...)
}

// removeNode removes a node's link at once, and its namespace, which goes with whatever is in it.
func (c Config) removeNode(node string) error {
	path := filepath.Join(namespaces, c.cgroup(node))
	if err := unix.Unmount(path, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) { // nothing is mounted there
		return fmt.Errorf("unmount %s: %w", path, err)
	}
	return errors.Join(deleteLink(c.port(node)), os.RemoveAll(path))
}

// routes are the IPv4 ranges that this machine has routes to, without the default route.
func routes() (all []netip.Prefix) {
	found, _ := netlink.RouteList(nil, netlink.FAMILY_V4)
	for _, r := range found {
		if p, err := netip.ParsePrefix(fmt.Sprint(r.Dst)); err == nil && p.Bits() > 0 {
			all = append(all, p)
		}
	}
	return all
}
