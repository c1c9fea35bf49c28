//go:build linux

package network

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
	"k8s.io/apimachinery/pkg/types"
)

// gateway is the address that every pod believes to be its router. Nobody has it: a permanent neighbour entry says that it is at the
// other end of the wire.
var gateway = net.IPv4(169, 254, 1, 1).To4()

// nodeEnd is the hardware address of the node's end of every wire. It is given at creation, for udev replaces an address that the kernel
// has drawn by one of its own, and the pod would go on sending to the first.
var nodeEnd = net.HardwareAddr{0xee, 0xee, 0xee, 0xee, 0xee, 0xee}

// linkName has at most 15 characters: "vo", 5 of the node's hash, 8 of the pod's. The node's part keeps clusters apart that share a network
// namespace; the link's alias has the pod's uid in full.
func linkName(c Config, pod types.UID) string { return linkPrefix(c) + hash(string(pod), 8) }

func linkPrefix(c Config) string { return "vo" + hash(c.Cluster+"/"+c.Node, 5) }

func hash(s string, chars int) string {
	sum := sha256.Sum256([]byte(s))
	return strings.ToLower(base32.StdEncoding.EncodeToString(sum[:]))[:chars]
}

// wire is a veth pair from the node's namespace to a pod's.
type wire struct {
	name    string // of the node's end
	pod     types.UID
	netns   string     // "" if found again
	address netip.Addr // then invalid if the wire was never finished
}

// connect is idempotent: the route on the node is made last, so a wire that has it is whole.
func (w wire) connect() error {
	inside, err := netns.GetFromPath(w.netns)
	if err != nil {
		return fmt.Errorf("network namespace %s: %w", w.netns, err)
	}
	defer inside.Close()
	pod, err := netlink.NewHandleAt(inside, unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer pod.Close()
	if w.whole(pod) {
		return nil
	}
	if err := deleteLink(w.name); err != nil {
		return err
	}
	outer, err := w.add(inside)
	if err != nil {
		return err
	}
	eth0, err := pod.LinkByName("eth0")
	if err != nil {
		return err
	}
	in, out, own := eth0.Attrs().Index, outer.Attrs().Index, net.IP(w.address.AsSlice())
	if err := cmp.Or(
		pod.AddrReplace(eth0, &netlink.Addr{IPNet: host(own)}),
		pod.LinkSetUp(eth0),
		pod.NeighSet(neighbour(in, gateway, nodeEnd)),
		pod.RouteReplace(&netlink.Route{LinkIndex: in, Dst: host(gateway), Scope: netlink.SCOPE_LINK}),
		pod.RouteReplace(&netlink.Route{LinkIndex: in, Gw: gateway}),
		netlink.LinkSetUp(outer),
		netlink.NeighSet(neighbour(out, own, eth0.Attrs().HardwareAddr))); err != nil {
		return err
	}
	return netlink.RouteReplace(&netlink.Route{LinkIndex: out, Dst: host(own), Scope: netlink.SCOPE_LINK})
}

func (w wire) whole(pod *netlink.Handle) bool {
	link, err := netlink.LinkByName(w.name)
	if err != nil || link.Attrs().Alias != string(w.pod) || addressBehind(link) != w.address {
		return false
	}
	_, err = pod.LinkByName("eth0")
	return err == nil
}

// add makes both ends at once, the pod's in its namespace from the start. The node's end carries the pod's uid as its alias.
func (w wire) add(inside netns.NsHandle) (netlink.Link, error) {
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU, attrs.Alias, attrs.HardwareAddr = w.name, podMTU(), string(w.pod), nodeEnd
	veth := &netlink.Veth{LinkAttrs: attrs, PeerName: "eth0", PeerNamespace: netlink.NsFd(inside), PeerMTU: uint32(attrs.MTU)}
	if err := netlink.LinkAdd(veth); err != nil {
		return nil, fmt.Errorf("add veth pair %s: %w", w.name, err)
	}
	return veth, netlink.LinkSetAlias(veth, string(w.pod))
}

func neighbour(link int, ip net.IP, at net.HardwareAddr) *netlink.Neigh {
	return &netlink.Neigh{LinkIndex: link, Family: netlink.FAMILY_V4, State: netlink.NUD_PERMANENT, IP: ip, HardwareAddr: at}
}

func host(ip net.IP) *net.IPNet { return &net.IPNet{IP: ip, Mask: net.CIDRMask(32, 32)} }

// wires finds the node's ends again.
func wires(c Config) ([]wire, error) {
	all, err := netlink.LinkList()
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return nil, fmt.Errorf("list links: %w", err)
	}
	var ours []wire
	for _, l := range all {
		if a := l.Attrs(); strings.HasPrefix(a.Name, linkPrefix(c)) {
			ours = append(ours, wire{name: a.Name, pod: types.UID(a.Alias), address: addressBehind(l)})
		}
	}
	return ours, nil
}

// addressBehind is the address that the node routes to a link.
func addressBehind(l netlink.Link) netip.Addr {
	routes, _ := netlink.RouteList(l, netlink.FAMILY_V4)
	for _, r := range routes {
		if r.Dst != nil && bytes.Equal(r.Dst.Mask, net.CIDRMask(32, 32)) {
			a, _ := netip.AddrFromSlice(r.Dst.IP.To4())
			return a
		}
	}
	return netip.Addr{}
}

// podMTU is what pods and the tunnel may send at once: what the way out takes, less what VXLAN adds. Also where no peer is reached by VXLAN now: a pod
// keeps its MTU for life, and the next node to join may be on another segment. That costs 3 % of a single segment, and no packet ever.
func podMTU() int { return uplinkMTU() - overhead }

// uplinkMTU is that of the default route's link; without one, the smallest of those that have an address, at most 1500.
func uplinkMTU() int {
	routes, _ := netlink.RouteList(nil, netlink.FAMILY_V4)
	local, _ := netlink.AddrList(nil, netlink.FAMILY_V4)
	mtu := func(index, otherwise int) int {
		if link, err := netlink.LinkByIndex(index); err == nil && index != lo && link.Attrs().MTU > overhead {
			return link.Attrs().MTU
		}
		return otherwise
	}
	for _, r := range routes {
		if r.Dst == nil || r.Dst.IP.IsUnspecified() {
			return mtu(r.LinkIndex, 1500)
		}
	}
	least := 1500
	for _, a := range local {
		least = min(least, mtu(a.LinkIndex, least))
	}
	return least
}
