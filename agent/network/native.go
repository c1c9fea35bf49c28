//go:build linux

package network

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"

	"github.com/vishvananda/netlink"
	"k8s.io/apimachinery/pkg/types"
)

// Native wires pods by the kernel alone. The zero value is ready; the process's network namespace is the node's.
type Native struct {
	mu        sync.Mutex
	config    Config     // guarded by mu
	addresses *addresses // guarded by mu
}

var _ Network = (*Native)(nil)

// Setup makes the node a router of its pods, and finds the pods of an earlier agent by their links.
func (n *Native) Setup(_ context.Context, c Config) error {
	for _, cidr := range []netip.Prefix{c.PodCIDR, c.ClusterCIDR, c.ServiceCIDR} {
		if cidr.IsValid() && !cidr.Addr().Is4() {
			return fmt.Errorf("network of node %s: %s is not IPv4, which is all there is so far", c.Node, cidr)
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.addresses == nil || n.config.PodCIDR != c.PodCIDR || n.config.Cluster != c.Cluster || n.config.Node != c.Node {
		n.addresses = newAddresses(c.PodCIDR)
	}
	n.config = c
	links, err := podLinks(c)
	if err != nil {
		return err
	}
	for _, l := range links {
		if l.address.IsValid() {
			if _, err := n.addresses.take(l.pod, l.address); err != nil {
				return err
			}
		}
	}
	if err := ensureAddress(); err != nil {
		return err
	}
	wasOff, err := enableForwarding()
	if err != nil {
		return err
	}
	if err := writeTable(c, wasOff); err != nil {
		return err
	}
	return routeServices(c)
}

// Attach wires the pod, or finds it wired; a wire that is broken in any part is made anew.
func (n *Native) Attach(_ context.Context, pod types.UID, netns string, want netip.Addr) (netip.Addr, error) {
	if netns == "" {
		return netip.Addr{}, fmt.Errorf("pod %s has no network namespace of its own: it uses the node's address", pod)
	}
	n.mu.Lock()
	if n.addresses == nil {
		n.mu.Unlock()
		return netip.Addr{}, fmt.Errorf("network of pod %s: Setup comes first", pod)
	}
	config := n.config
	address, err := n.addresses.take(pod, want)
	n.mu.Unlock()
	if err != nil {
		return netip.Addr{}, err
	}
	w := wire{name: linkName(config, pod), pod: pod, netns: netns, address: address}
	if err := w.connect(); err != nil {
		return netip.Addr{}, fmt.Errorf("connect pod %s: %w", pod, err) // the address stays the pod's: it will try again
	}
	return address, nil
}

// Detach removes the node's end; the pod's goes with it.
func (n *Native) Detach(_ context.Context, pod types.UID) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.addresses == nil {
		return fmt.Errorf("network of pod %s: Setup comes first", pod)
	}
	if err := deleteLink(linkName(n.config, pod)); err != nil {
		return err
	}
	n.addresses.release(pod)
	return nil
}

// Keep removes the links of all other pods.
func (n *Native) Keep(_ context.Context, pods map[types.UID]netip.Addr) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.addresses == nil {
		return errors.New("network: Setup comes first")
	}
	links, err := podLinks(n.config)
	if err != nil {
		return err
	}
	for _, l := range links {
		if _, keep := pods[l.pod]; !keep {
			if err := deleteLink(l.name); err != nil {
				return err
			}
		}
	}
	return n.addresses.keep(pods)
}

// Teardown leaves the node as Setup found it.
func (n *Native) Teardown(context.Context) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.addresses == nil {
		return errors.New("network: Setup comes first, it says whose things to remove")
	}
	links, err := podLinks(n.config)
	if err != nil {
		return err
	}
	for _, l := range links {
		err = errors.Join(err, deleteLink(l.name))
	}
	n.addresses = nil
	return errors.Join(err, removeAddress(), unrouteServices(n.config), restoreForwarding(n.config), deleteTable(n.config))
}

func deleteLink(name string) error {
	link, err := netlink.LinkByName(name)
	if err == nil {
		err = netlink.LinkDel(link)
	}
	if missing := (netlink.LinkNotFoundError{}); errors.As(err, &missing) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("delete link %s: %w", name, err)
	}
	return nil
}
