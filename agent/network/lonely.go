//go:build linux

package network

import (
	"errors"
	"fmt"
	"net"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// A machine without any network, a laptop on a train, has no address from which it could speak to its own pods. It takes the
// gateway's, which its pods know a way to.

func gatewayOnLo() (netlink.Link, *netlink.Addr, error) {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return nil, nil, err
	}
	return lo, &netlink.Addr{IPNet: &net.IPNet{IP: gateway, Mask: net.CIDRMask(32, 32)}, Scope: unix.RT_SCOPE_UNIVERSE}, nil // others are no source for what leaves by other links
}

// ensureAddress gives the node an address if it has none but those of loopback.
func ensureAddress() error {
	all, err := netlink.AddrList(nil, netlink.FAMILY_V4)
	if err != nil {
		return err
	}
	for _, a := range all {
		if !a.IP.IsLoopback() {
			return nil
		}
	}
	lo, own, err := gatewayOnLo()
	if err == nil {
		err = netlink.AddrReplace(lo, own)
	}
	if err != nil {
		return fmt.Errorf("give the node an address: %w", err)
	}
	return nil
}

// removeAddress takes it away again.
func removeAddress() error {
	lo, own, err := gatewayOnLo()
	if err == nil {
		err = netlink.AddrDel(lo, own)
	}
	if errors.Is(err, unix.EADDRNOTAVAIL) {
		return nil
	}
	return err
}
