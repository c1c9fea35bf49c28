package network

import (
	"context"
	"net/netip"

	"k8s.io/apimachinery/pkg/types"
)

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
