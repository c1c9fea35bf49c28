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
func setupRouter(c Config) error {
	all, err := netlink.AddrList(nil, netlink.FAMILY_V4)
	if err == nil && !slices.ContainsFunc(all, func(a netlink.Addr) bool { return !a.IP.IsLoopback() }) {
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
	if err := writeTable(c, strings.TrimSpace(string(before)) != "1"); err != nil {
		return err
	}
	if c.ServiceCIDR.IsValid() {
		if err := netlink.RouteReplace(serviceRoute(c)); err != nil {
			return fmt.Errorf("route %s to lo: %w", c.ServiceCIDR, err)
		}
	}
	return nil
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
	return errors.Join(address, route, table)
}
