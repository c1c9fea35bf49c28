//go:build linux

package network

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// forwarding lets the kernel pass packets from one link to another. Below /proc/sys/net everyone sees the own namespace.
const forwarding = "/proc/sys/net/ipv4/ip_forward"

// enableForwarding says whether it was off.
func enableForwarding() (wasOff bool, err error) {
	now, err := os.ReadFile(forwarding)
	if err != nil {
		return false, fmt.Errorf("read ip_forward: %w", err)
	}
	if strings.TrimSpace(string(now)) == "1" {
		return false, nil
	}
	if err := os.WriteFile(forwarding, []byte("1"), 0o644); err != nil {
		return false, fmt.Errorf("set ip_forward (pods can't be reached without it): %w", err)
	}
	return true, nil
}

// restoreForwarding switches it off again if it was off before, as the table remembers.
func restoreForwarding(c Config) error {
	conn, err := nftables.New()
	if err != nil {
		return err
	}
	if !wasOff(conn, &nftables.Table{Family: nftables.TableFamilyIPv4, Name: tableName(c)}) {
		return nil
	}
	return os.WriteFile(forwarding, []byte("0"), 0o644)
}

// serviceRoute exists so that a connection from the node itself to a Service gets as far as the rules that rewrite or reject it,
// even where there is no default route.
func serviceRoute(c Config) (*netlink.Route, error) {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return nil, err
	}
	cidr := c.ServiceCIDR.Masked()
	return &netlink.Route{
		LinkIndex: lo.Attrs().Index,
		Dst:       &net.IPNet{IP: cidr.Addr().AsSlice(), Mask: net.CIDRMask(cidr.Bits(), 32)},
		Scope:     netlink.SCOPE_LINK,
		Protocol:  unix.RTPROT_STATIC,
	}, nil
}

func routeServices(c Config) error {
	if !c.ServiceCIDR.IsValid() {
		return nil
	}
	route, err := serviceRoute(c)
	if err == nil {
		err = netlink.RouteReplace(route)
	}
	if err != nil {
		return fmt.Errorf("route %s to lo: %w", c.ServiceCIDR, err)
	}
	return nil
}

func unrouteServices(c Config) error {
	if !c.ServiceCIDR.IsValid() {
		return nil
	}
	route, err := serviceRoute(c)
	if err == nil {
		err = netlink.RouteDel(route)
	}
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	return err
}
