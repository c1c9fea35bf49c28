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

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const (
	forwarding = "/proc/sys/net/ipv4/ip_forward" // everyone sees the own namespace's
	lo         = 1                               // the kernel's index of lo, in every namespace
)

// serviceRoute exists so that a connection from the node itself to a Service gets as far as the rules that rewrite or reject it,
// even where there is no default route. If it is of our own protocol, forwarding was off before we came.
func serviceRoute(c Config, by netlink.RouteProtocol) *netlink.Route {
	return &netlink.Route{LinkIndex: lo, Dst: ipNet(c.ServiceCIDR.Masked()), Scope: netlink.SCOPE_LINK, Protocol: by}
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
func (n *Native) setupRouter() error {
	all, err := netlink.AddrList(nil, netlink.FAMILY_V4)
	if err == nil && !slices.ContainsFunc(all, func(a netlink.Addr) bool { return a.Scope == unix.RT_SCOPE_UNIVERSE }) {
		err = netlink.AddrReplace(nil, lonely())
	}
	if err != nil {
		return fmt.Errorf("give the node an address: %w", err)
	}
	before, err := os.ReadFile(forwarding)
	if err == nil {
		err = os.WriteFile(forwarding, []byte("1"), 0o644)
	}
	if err != nil {
		return fmt.Errorf("set ip_forward (pods can't be reached without it): %w", err)
	}
	remembered, err := netlink.RouteListFiltered(netlink.FAMILY_V4, serviceRoute(n.config, protocol), netlink.RT_FILTER_DST|netlink.RT_FILTER_PROTOCOL)
	if err != nil {
		return fmt.Errorf("list routes: %w", err)
	}
	n.wasOff = n.wasOff || len(remembered) > 0 || strings.TrimSpace(string(before)) != "1"
	return n.settleRouter()
}

// settleRouter is the part of it that others may remove, all by the way: the way to the Services, and the node's addresses.
func (n *Native) settleRouter() error {
	c, by := n.config, netlink.RouteProtocol(unix.RTPROT_STATIC)
	if n.wasOff {
		by = protocol
	}
	if c.ServiceCIDR.IsValid() {
		if err := netlink.RouteReplace(serviceRoute(c, by)); err != nil {
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

// teardownRouter undoes it. Forwarding is switched off again if it was off before.
func (n *Native) teardownRouter() error {
	address := netlink.AddrDel(nil, lonely())
	if errors.Is(address, unix.EADDRNOTAVAIL) {
		address = nil
	}
	var route, off error
	if n.config.ServiceCIDR.IsValid() {
		if route = netlink.RouteDel(serviceRoute(n.config, 0)); errors.Is(route, unix.ESRCH) {
			route = nil
		}
	}
	if n.wasOff {
		n.wasOff, off = false, os.WriteFile(forwarding, []byte("0"), 0o644)
	}
	return errors.Join(address, settleAddresses(n.config), route, off)
}
