package agent

import (
	"context"
	"net/netip"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"optimist/agent/network"
	"optimist/agent/node"
	"optimist/internal/api"
	"optimist/internal/wake"
)

const (
	routeEvery = 10 * time.Second // also when no Node has changed: others may have removed a route
	patience   = time.Minute      // longer than a peer is believed to be Ready after it has died
)

// routes keeps the ways to the other nodes' pods, and tells in the Node when packets do not take them.
func (a *Agent) routes(ctx context.Context, r network.Router) error {
	var known []network.Peer
	good, last := time.Now(), time.Time{}
	for ctx.Err() == nil {
		if now := a.peers(); !slices.Equal(now, known) || time.Since(last) >= routeEvery {
			known, last = now, time.Now()
			err := r.Peers(ctx, known)
			if err != nil {
				a.config.Log.Warn("cannot route to the pods of other nodes; trying again", "node", a.config.Node, "error", err)
			} else if err = r.Probe(ctx); err == nil {
				good = time.Now()
			}
			if c := reach(err, time.Since(good)); c != nil && ctx.Err() == nil {
				a.keeper.Reach(*c)
			}
		}
		_ = wake.After(ctx, routeEvery, a.moved)
	}
	return nil
}

// reach is the condition that follows when the peers' pods have been out of reach for so long; nil: the one before still holds.
func reach(err error, silent time.Duration) *corev1.NodeCondition {
	switch {
	case err == nil:
		return &corev1.NodeCondition{Type: corev1.NodeNetworkUnavailable, Status: corev1.ConditionFalse, Reason: "RoutesReady", Message: "the ways to other nodes' pods are there"}
	case silent >= patience:
		return &corev1.NodeCondition{Type: corev1.NodeNetworkUnavailable, Status: corev1.ConditionTrue, Reason: "PeersUnreachable", Message: err.Error()}
	}
	return nil
}

// peers are the other nodes, by name; those without address or podCIDR have invalid ones.
func (a *Agent) peers() (all []network.Peer) {
	for n := range a.nodes.List("", nil) {
		if n.Name != a.config.Node {
			p := network.Peer{Name: n.Name, Ready: api.NodeReady(n)}
			p.Address, _ = netip.ParseAddr(node.InternalIP(n))
			p.PodCIDR, _ = netip.ParsePrefix(n.Spec.PodCIDR)
			all = append(all, p)
		}
	}
	return all
}
