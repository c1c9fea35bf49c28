//go:build linux

package network

import (
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

// wire is a veth pair from the node's namespace to a pod's.
type wire struct {
	name    string // of the node's end
	pod     types.UID
	netns   string
	address netip.Addr
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
	if err := w.inside(pod, eth0); err != nil {
		return fmt.Errorf("inside the pod: %w", err)
	}
	return w.outside(outer, eth0.Attrs().HardwareAddr)
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
	attrs.Name, attrs.MTU, attrs.Alias, attrs.HardwareAddr = w.name, defaultMTU(), string(w.pod), nodeEnd
	veth := &netlink.Veth{LinkAttrs: attrs, PeerName: "eth0", PeerNamespace: netlink.NsFd(inside), PeerMTU: uint32(attrs.MTU)}
	if err := netlink.LinkAdd(veth); err != nil {
		return nil, fmt.Errorf("add veth pair %s: %w", w.name, err)
	}
	link, err := netlink.LinkByName(w.name)
	if err != nil {
		return nil, err
	}
	return link, netlink.LinkSetAlias(link, string(w.pod))
}

func (w wire) inside(pod *netlink.Handle, eth0 netlink.Link) error {
	index := eth0.Attrs().Index
	if err := pod.AddrReplace(eth0, &netlink.Addr{IPNet: host(w.address.AsSlice())}); err != nil {
		return err
	}
	if err := pod.LinkSetUp(eth0); err != nil {
		return err
	}
	if err := pod.NeighSet(neighbour(index, gateway, nodeEnd)); err != nil {
		return err
	}
	if err := pod.RouteReplace(&netlink.Route{LinkIndex: index, Dst: host(gateway), Scope: netlink.SCOPE_LINK}); err != nil {
		return err
	}
	return pod.RouteReplace(&netlink.Route{LinkIndex: index, Gw: gateway})
}

func (w wire) outside(outer netlink.Link, eth0 net.HardwareAddr) error {
	index, ip := outer.Attrs().Index, net.IP(w.address.AsSlice())
	if err := netlink.LinkSetUp(outer); err != nil {
		return err
	}
	if err := netlink.NeighSet(neighbour(index, ip, eth0)); err != nil {
		return err
	}
	return netlink.RouteReplace(&netlink.Route{LinkIndex: index, Dst: host(ip), Scope: netlink.SCOPE_LINK})
}

func neighbour(link int, ip net.IP, at net.HardwareAddr) *netlink.Neigh {
	return &netlink.Neigh{LinkIndex: link, Family: netlink.FAMILY_V4, State: netlink.NUD_PERMANENT, IP: ip, HardwareAddr: at}
}

func host(ip net.IP) *net.IPNet { return &net.IPNet{IP: ip, Mask: net.CIDRMask(32, 32)} }

// podLink is a node's end found again.
type podLink struct {
	name    string
	pod     types.UID
	address netip.Addr // invalid when the wire was never finished
}

func podLinks(c Config) ([]podLink, error) {
	all, err := netlink.LinkList()
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return nil, fmt.Errorf("list links: %w", err)
	}
	var ours []podLink
	for _, l := range all {
		if a := l.Attrs(); strings.HasPrefix(a.Name, linkPrefix(c)) {
			ours = append(ours, podLink{a.Name, types.UID(a.Alias), addressBehind(l)})
		}
	}
	return ours, nil
}

// addressBehind is the address that the node routes to a link.
func addressBehind(l netlink.Link) netip.Addr {
	routes, err := netlink.RouteList(l, netlink.FAMILY_V4)
	if err != nil {
		return netip.Addr{}
	}
	for _, r := range routes {
		if r.Dst == nil {
			continue
		}
		if ones, _ := r.Dst.Mask.Size(); ones == 32 {
			a, _ := netip.AddrFromSlice(r.Dst.IP.To4())
			return a
		}
	}
	return netip.Addr{}
}

// defaultMTU is that of the link which packets leave by: pods must not send more than it takes.
func defaultMTU() int {
	const usual = 1500
	routes, err := netlink.RouteList(nil, netlink.FAMILY_V4)
	if err != nil {
		return usual
	}
	for _, r := range routes {
		if r.Dst != nil && !r.Dst.IP.IsUnspecified() {
			continue
		}
		if link, err := netlink.LinkByIndex(r.LinkIndex); err == nil && link.Attrs().MTU > 0 {
			return link.Attrs().MTU
		}
	}
	return usual
}
