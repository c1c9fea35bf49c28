package network

import (
	"context"
	"net/netip"
	"sync"

	"k8s.io/apimachinery/pkg/types"
)

// Loopback gives simulated pods addresses and touches nothing. The zero value is ready.
type Loopback struct {
	mu        sync.Mutex
	addresses *addresses // guarded by mu
}

var _ Network = (*Loopback)(nil)

func (l *Loopback) Setup(_ context.Context, c Config) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.addresses == nil || l.addresses.cidr != c.PodCIDR.Masked() {
		l.addresses = newAddresses(c.PodCIDR)
	}
	return nil
}

func (l *Loopback) Attach(_ context.Context, pod types.UID, _ string, want netip.Addr) (netip.Addr, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.addresses == nil {
		l.addresses = newAddresses(netip.Prefix{})
	}
	return l.addresses.take(pod, want)
}

func (l *Loopback) Detach(_ context.Context, pod types.UID) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.addresses != nil {
		l.addresses.release(pod)
	}
	return nil
}

func (l *Loopback) Keep(_ context.Context, pods map[types.UID]netip.Addr) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.addresses == nil {
		l.addresses = newAddresses(netip.Prefix{})
	}
	return l.addresses.keep(pods)
}

func (l *Loopback) Teardown(context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.addresses = nil
	return nil
}
