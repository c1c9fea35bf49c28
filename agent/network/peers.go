//go:build linux

package network

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"unsafe"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const (
	protocol  = 'o'  // of our routes ("proto 111"): those of others are left alone
	vxlanPort = 4789 // RFC 7348
	overhead  = 50   // bytes that VXLAN puts around a packet: IPv4 20, UDP 8, VXLAN 8, Ethernet 14
)

var _ Router = (*Native)(nil)

// way is how this node's packets come to a peer's pods.
type way struct {
	Peer
	link int // on whose segment the peer is; 0: by VXLAN
}

// ways chooses for each peer that can have one; local are this node's addresses. A peer with an address of ours is behind some NAT: there is none.
func ways(c Config, local []netlink.Addr, peers []Peer) (all []way) {
	local = slices.DeleteFunc(slices.Clone(local), func(a netlink.Addr) bool { return a.LinkIndex == lo || a.Scope != unix.RT_SCOPE_UNIVERSE })
	slices.SortFunc(local, func(a, b netlink.Addr) int { x, _ := a.Mask.Size(); y, _ := b.Mask.Size(); return cmp.Compare(y, x) }) // the narrowest first
	for _, p := range peers {
		ip, w := net.IP(p.Address.AsSlice()), way{Peer: p}
		if p.Name == c.Node || !p.Address.Is4() || !p.PodCIDR.IsValid() || p.PodCIDR.Overlaps(c.PodCIDR) || p.PodCIDR.Bits() < c.ClusterCIDR.Bits() ||
			!c.ClusterCIDR.Contains(p.PodCIDR.Addr()) || slices.ContainsFunc(local, func(a netlink.Addr) bool { return a.IP.Equal(ip) }) {
			continue
		}
		if i := slices.IndexFunc(local, func(a netlink.Addr) bool { return a.Contains(ip) }); i >= 0 {
			w.link = local[i].LinkIndex
		}
		all = append(all, w)
	}
	return all
}

// Peers compares the kernel's routes, neighbours and forwarding entries with those that the peers need, and changes what differs.
func (n *Native) Peers(_ context.Context, peers []Peer) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	local, err := netlink.AddrList(nil, netlink.FAMILY_V4)
	if err != nil {
		return fmt.Errorf("list this node's addresses: %w", err)
	}
	n.ways = ways(n.config, local, peers)
	return errors.Join(n.settleRouter(), n.route())
}

func (n *Native) route() error {
	tunnel, faults := 0, []error(nil)
	if slices.ContainsFunc(n.ways, func(w way) bool { return w.link == 0 }) {
		link, err := ensureTunnel(n.config)
		if err == nil {
			tunnel = link.Attrs().Index
			err = settleTunnel(n.config, tunnel, n.ways)
		}
		faults = append(faults, err)
	} else {
		faults = append(faults, deleteLink(tunnelName(n.config)))
	}
	want := map[string]*netlink.Route{}
	for _, w := range n.ways {
		r := &netlink.Route{Dst: ipNet(w.PodCIDR.Masked()), Protocol: protocol, LinkIndex: w.link, Gw: w.Address.AsSlice()}
		if w.link == 0 { // the node itself sends from an address that the peer knows the way back to
			r.LinkIndex, r.Gw, r.Flags, r.Src = tunnel, r.Dst.IP, int(netlink.FLAG_ONLINK), n.config.PodCIDR.Masked().Addr().AsSlice()
		}
		if r.LinkIndex != 0 {
			want[r.Dst.String()] = r
		}
	}
	return errors.Join(append(faults, settleRoutes(n.config, want))...)
}

// settleRoutes makes our routes into the cluster's range those wanted, by destination.
func settleRoutes(c Config, want map[string]*netlink.Route) error {
	have, err := netlink.RouteListFiltered(netlink.FAMILY_V4, &netlink.Route{Protocol: protocol}, netlink.RT_FILTER_PROTOCOL)
	if err != nil {
		return fmt.Errorf("list routes: %w", err)
	}
	var faults []error
	for _, h := range have {
		w := want[h.Dst.String()]
		delete(want, h.Dst.String())
		switch a, _ := netip.AddrFromSlice(h.Dst.IP.To4()); {
		case w == nil && c.ClusterCIDR.Contains(a):
			err = netlink.RouteDel(&h)
		case w != nil && !(w.LinkIndex == h.LinkIndex && w.Gw.Equal(h.Gw) && w.Src.Equal(h.Src)):
			err = netlink.RouteReplace(w)
		}
		faults = append(faults, err)
	}
	for to, w := range want {
		if err := netlink.RouteAdd(w); err != nil {
			faults = append(faults, fmt.Errorf("add route to %s via %s (EEXIST: somebody else has made one): %w", to, w.Gw, err))
		}
	}
	return errors.Join(faults...)
}

// tunnelName has at most 15 characters; the node's part keeps clusters apart.
func tunnelName(c Config) string { return "vx" + hash(c.Cluster+"/"+c.Node, 8) }

// mac is of a node's end of the tunnel. That it follows from the names spares the nodes telling it one another.
func mac(cluster, node string) net.HardwareAddr {
	sum := sha256.Sum256([]byte(cluster + "/" + node))
	return append(net.HardwareAddr{0x02}, sum[:5]...) // locally administered
}

// vni keeps clusters apart that send to the same port: 24 bits, not 0.
func vni(cluster string) int {
	sum := sha256.Sum256([]byte(cluster))
	return max(1, int(binary.BigEndian.Uint32(sum[:])>>8))
}

// ensureTunnel makes the VXLAN device, or finds it as it should be. It learns nothing: whom to send to, settleTunnel says.
func ensureTunnel(c Config) (netlink.Link, error) {
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU, attrs.HardwareAddr = tunnelName(c), podMTU(), mac(c.Cluster, c.Node)
	link, err := netlink.LinkByName(attrs.Name)
	v, ok := link.(*netlink.Vxlan)
	if err != nil || !ok || v.VxlanId != vni(c.Cluster) || v.Port != vxlanPort || v.HardwareAddr.String() != attrs.HardwareAddr.String() {
		v = &netlink.Vxlan{LinkAttrs: attrs, VxlanId: vni(c.Cluster), Port: vxlanPort}
		if err := cmp.Or(deleteLink(attrs.Name), netlink.LinkAdd(v), noOffload(attrs.Name)); err != nil {
			return nil, fmt.Errorf("add VXLAN device %s (UDP port %d, VNI %d): %w", attrs.Name, vxlanPort, v.VxlanId, err)
		}
	}
	return v, errors.Join(netlink.LinkSetMTU(v, attrs.MTU), netlink.LinkSetUp(v))
}

// noOffload has the kernel itself compute checksums of what enters the tunnel. Network cards, and kernels before 5.7 where the outer packet
// passes a NAT, get those inside VXLAN wrong, and then all but ICMP is lost (flannel's issue 1279, Calico's 9433). It costs CPU, never packets.
func noOffload(link string) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	off := struct{ command, value uint32 }{unix.ETHTOOL_STXCSUM, 0}
	request := struct { // struct ifreq
		name [unix.IFNAMSIZ]byte
		data unsafe.Pointer
		_    [16]byte
	}{data: unsafe.Pointer(&off)}
	copy(request.name[:], link)
	if _, _, e := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&request))); e != 0 {
		return fmt.Errorf("switch tx-checksumming off: %w", e)
	}
	return nil
}

// settleTunnel tells the device of each peer: which hardware address its router has, and at which node's address that is.
func settleTunnel(c Config, tunnel int, ways []way) error {
	want := map[string]*netlink.Neigh{}
	for _, w := range ways {
		if w.link == 0 {
			router := neighbour(tunnel, w.PodCIDR.Masked().Addr().AsSlice(), mac(c.Cluster, w.Name))
			node := neighbour(tunnel, w.Address.AsSlice(), router.HardwareAddr)
			node.Family, node.Flags = unix.AF_BRIDGE, netlink.NTF_SELF
			want[router.String()], want[node.String()] = router, node
		}
	}
	var faults []error
	for _, family := range []int{netlink.FAMILY_V4, unix.AF_BRIDGE} {
		have, err := netlink.NeighList(tunnel, family)
		faults = append(faults, err)
		for _, h := range have {
			if _, wanted := want[h.String()]; wanted {
				delete(want, h.String())
			} else if h.State&netlink.NUD_PERMANENT != 0 {
				h.Family = family
				faults = append(faults, netlink.NeighDel(&h))
			}
		}
	}
	for _, w := range want {
		faults = append(faults, netlink.NeighSet(w))
	}
	return errors.Join(faults...)
}
