package network

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"sync"

	"k8s.io/apimachinery/pkg/types"
)

// addresses hands out a node's share of pod addresses. Freed ones are reused late, so that a connection to a pod that is gone does
// not reach its successor. The zero value has none to give.
type addresses struct {
	mu   sync.Mutex
	cidr netip.Prefix
	of   map[types.UID]netip.Addr
	used map[netip.Addr]types.UID
	last netip.Addr // handed out
}

// use gives out addresses of this range from now on, and forgets those of another.
func (a *addresses) use(cidr netip.Prefix) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if cidr = cidr.Masked(); a.of == nil || a.cidr != cidr {
		a.cidr, a.of, a.used, a.last = cidr, map[types.UID]netip.Addr{}, map[netip.Addr]types.UID{}, netip.Addr{}
	}
}

// take gives the pod its address: the one it has, the one it wants, or a free one.
func (a *addresses) take(pod types.UID, want netip.Addr) (netip.Addr, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if has, ok := a.of[pod]; ok {
		return has, nil
	}
	if !want.IsValid() {
		var err error
		if want, err = a.free(); err != nil {
			return netip.Addr{}, err
		}
		a.last = want
	}
	if holder, ok := a.used[want]; ok {
		return netip.Addr{}, fmt.Errorf("address %s of pod %s belongs to pod %s", want, pod, holder)
	}
	a.of[pod], a.used[want] = want, pod
	return want, nil
}

func (a *addresses) release(pod types.UID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.used, a.of[pod])
	delete(a.of, pod)
}

// free looks onward from the last one handed out. The first two (network, by custom the node) and the last (broadcast) are no pod's.
func (a *addresses) free() (netip.Addr, error) {
	if !a.cidr.IsValid() {
		return netip.Addr{}, fmt.Errorf("this node has no podCIDR yet; try again")
	}
	first := a.cidr.Addr().Next().Next()
	at := a.last
	for range len(a.used) + 2 { // of one more than are used, one is free
		if at = at.Next(); !a.cidr.Contains(at) || !a.cidr.Contains(at.Next()) {
			at = first
		}
		if _, taken := a.used[at]; !taken && a.cidr.Contains(at.Next()) {
			return at, nil
		}
	}
	return netip.Addr{}, fmt.Errorf("no free address in %s: %d pods have one", a.cidr, len(a.used))
}

// keep forgets all but these pods, and remembers their addresses.
func (a *addresses) keep(pods map[types.UID]netip.Addr) error {
	a.mu.Lock()
	maps.DeleteFunc(a.used, func(_ netip.Addr, pod types.UID) bool { _, ok := pods[pod]; return !ok })
	maps.DeleteFunc(a.of, func(pod types.UID, _ netip.Addr) bool { _, ok := pods[pod]; return !ok })
	a.mu.Unlock()
	for pod, address := range pods {
		if address.IsValid() {
			if _, err := a.take(pod, address); err != nil {
				return err
			}
		}
	}
	return nil
}

// Loopback gives simulated pods addresses and touches nothing. The zero value is ready.
type Loopback struct{ addresses addresses }

var _ Network = (*Loopback)(nil)

func (l *Loopback) Setup(_ context.Context, c Config) error { l.addresses.use(c.PodCIDR); return nil }

func (l *Loopback) Attach(_ context.Context, pod types.UID, _ string, want netip.Addr) (netip.Addr, error) {
	return l.addresses.take(pod, want)
}

func (l *Loopback) Detach(_ context.Context, pod types.UID) error {
	l.addresses.release(pod)
	return nil
}

func (l *Loopback) Keep(_ context.Context, pods map[types.UID]netip.Addr) error {
	return l.addresses.keep(pods)
}

func (l *Loopback) Teardown(context.Context) error { return nil }
