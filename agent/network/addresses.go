package network

import (
	"fmt"
	"net/netip"

	"k8s.io/apimachinery/pkg/types"
)

// addresses hands out a node's share of pod addresses. Freed ones are reused late, so that a connection to a pod that is gone does
// not reach its successor.
type addresses struct {
	cidr netip.Prefix
	of   map[types.UID]netip.Addr
	used map[netip.Addr]types.UID
	last netip.Addr // handed out
}

func newAddresses(cidr netip.Prefix) *addresses {
	return &addresses{cidr: cidr.Masked(), of: map[types.UID]netip.Addr{}, used: map[netip.Addr]types.UID{}}
}

// take gives the pod its address: the one it has, the one it wants, or a free one.
func (a *addresses) take(pod types.UID, want netip.Addr) (netip.Addr, error) {
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
	delete(a.used, a.of[pod])
	delete(a.of, pod)
}

// free looks onward from the last one handed out. The first two (network, by custom the node) and the last (broadcast) are no pod's.
func (a *addresses) free() (netip.Addr, error) {
	if !a.cidr.IsValid() {
		return netip.Addr{}, fmt.Errorf("this node has no podCIDR yet; try again")
	}
	first := a.cidr.Addr().Next().Next()
	start := first
	if a.last.IsValid() && a.usable(a.last.Next()) {
		start = a.last.Next()
	}
	for at := start; ; {
		if _, taken := a.used[at]; !taken && a.usable(at) {
			return at, nil
		}
		if at = at.Next(); !a.usable(at) {
			at = first
		}
		if at == start {
			return netip.Addr{}, fmt.Errorf("no free address in %s: %d pods have one", a.cidr, len(a.used))
		}
	}
}

func (a *addresses) usable(at netip.Addr) bool {
	return a.cidr.Contains(at) && a.cidr.Contains(at.Next())
}

// keep forgets all but these pods, and remembers their addresses.
func (a *addresses) keep(pods map[types.UID]netip.Addr) error {
	for pod := range a.of {
		if _, ok := pods[pod]; !ok {
			a.release(pod)
		}
	}
	for pod, address := range pods {
		if !address.IsValid() {
			continue
		}
		if _, err := a.take(pod, address); err != nil {
			return err
		}
	}
	return nil
}
