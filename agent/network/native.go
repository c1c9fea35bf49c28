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
	addresses addresses

	mu     sync.RWMutex // held for reading to wire one pod, for writing to change the node
	config Config
	wasOff bool   // forwarding, before we came
	ways   []way  // to the peers
	seen   uint64 // packets out of the tunnel at the last Probe
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
	n.config = c
	n.addresses.use(c.PodCIDR)
	links, err := wires(c)
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
	return n.setupRouter()
}

// Attach wires the pod, or finds it wired; a wire that is broken in any part is made anew.
func (n *Native) Attach(_ context.Context, pod types.UID, netns string, want netip.Addr) (netip.Addr, error) {
	if netns == "" {
		return netip.Addr{}, fmt.Errorf("pod %s has no network namespace of its own: it uses the node's address", pod)
	}
	n.mu.RLock()
	defer n.mu.RUnlock()
	address, err := n.addresses.take(pod, want)
	if err != nil {
		return netip.Addr{}, err
	}
	w := wire{name: linkName(n.config, pod), pod: pod, netns: netns, address: address}
	if err := w.connect(); err != nil {
		return netip.Addr{}, fmt.Errorf("connect pod %s: %w", pod, err) // the address stays the pod's: it will try again
	}
	return address, nil
}

// Detach removes the node's end; the pod's goes with it.
func (n *Native) Detach(_ context.Context, pod types.UID) error {
	n.mu.RLock()
	defer n.mu.RUnlock()
	err := deleteLink(linkName(n.config, pod))
	if err == nil {
		n.addresses.release(pod)
	}
	return err
}

// Keep removes the links of all other pods.
func (n *Native) Keep(_ context.Context, pods map[types.UID]netip.Addr) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return errors.Join(n.deleteLinks(pods), n.addresses.keep(pods))
}

// Teardown leaves the node as Setup found it.
func (n *Native) Teardown(context.Context) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.ways = nil
	return errors.Join(n.deleteLinks(nil), n.route(), n.teardownRouter())
}

func (n *Native) deleteLinks(but map[types.UID]netip.Addr) error {
	links, err := wires(n.config)
	for _, l := range links {
		if _, keep := but[l.pod]; !keep {
			err = errors.Join(err, deleteLink(l.name))
		}
	}
	return err
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
