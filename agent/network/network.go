// Package network gives each pod an address on its node, and the ways there. What is rewritten, masqueraded or refused on them, agent/proxy says.
//
//	pod's namespace          node's namespace
//	eth0 10.244.0.7/32 ───── vo<hash>      route 10.244.0.7/32 dev vo<hash>
//	default via 169.254.1.1  (proxy by permanent neighbour)      <Service range> dev lo
//	                                                             lo: <DNS address>, 10.244.0.0 (the node's own among the pods)
//	a peer on a segment of ours:  10.244.1.0/24 via <its address>
//	a peer elsewhere:             10.244.2.0/24 via 10.244.2.0 dev vx<hash> onlink ── VXLAN, UDP 4789 ──▶ <its address>
//	                              neighbour 10.244.2.0 is at <hash of its name>; that is behind <its address>: nobody learns anything
//
// Start reading at native.go; wire.go has the pod's link, router.go the node, peers.go the routes, probe.go how a node finds out that
// packets do not come through. Our links bear a hash of cluster and node, our routes the protocol 111, and our addresses on lo are the cluster's;
// Peers mends all but the pods' links.
//
// Native is the point-to-point implementation; its links need no bridge, so a pod's address is never hidden from its peer.
// Loopback is the one for simulated pods: addresses only.
//
// Flannel and Calico tell a tunnel's hardware address to other nodes in annotations; here it follows from the node's name.
//
// Real Kubernetes executes CNI plugins for this (bridge, host-local …), a process per plugin and pod; the interface here is
// small enough that CNI can join behind it.
package network

import (
	"context"
	"net/netip"

	"k8s.io/apimachinery/pkg/types"
)

// Network wires pods. Every method is idempotent.
type Network interface {
	// Setup prepares the node: forwarding, the way to the Service range, the DNS address. Called at each start of the agent, again when
	// podCIDR becomes known.
	Setup(ctx context.Context, c Config) error
	// Attach gives the pod whose network namespace is at netns an address: the same one when it has one already; `want` if valid.
	Attach(ctx context.Context, pod types.UID, netns string, want netip.Addr) (netip.Addr, error)
	// Detach frees the address and removes what Attach made.
	Detach(ctx context.Context, pod types.UID) error
	// Keep detaches everything that is not of these pods: what a killed agent left behind.
	Keep(ctx context.Context, pods map[types.UID]netip.Addr) error
	// Teardown removes all that Setup and Attach made on this node.
	Teardown(ctx context.Context) error
}

// Router is a Network that knows the ways to other nodes' pods.
type Router interface {
	// Peers routes to the pods of these nodes, and of no others: directly where the node is on a segment of ours, by VXLAN elsewhere. Idempotent; it
	// mends what others removed. An error names what could not be done; the rest is done.
	Peers(ctx context.Context, peers []Peer) error
	// Probe asks some of the peers that are Ready whether packets pass between us, and waits a second for an answer. An error says what to open, and where.
	Probe(ctx context.Context) error
}

// Peer is another node.
type Peer struct {
	Name    string
	Address netip.Addr // its InternalIP
	PodCIDR netip.Prefix
	Ready   bool // it should answer
}

// Config says where the node is.
type Config struct {
	Cluster     string // the cluster's name: part of the names of links, so that clusters do not meet
	Node        string
	PodCIDR     netip.Prefix // this node's share
	ClusterCIDR netip.Prefix // all pods'
	ServiceCIDR netip.Prefix
}

// DNSAddress is where every node answers DNS: the tenth address of the Services' range, as kubeadm has it (ServiceCIDR 10.96.0.0/16:
// 10.96.0.10). Invalid for a range that has none or is not IPv4. Setup puts it on the node's lo; the Service kube-system/kube-dns has it.
func DNSAddress(services netip.Prefix) netip.Addr {
	if !services.IsValid() || !services.Addr().Is4() || services.Bits() > 28 {
		return netip.Addr{}
	}
	b := services.Masked().Addr().As4()
	b[3] |= 10
	return netip.AddrFrom4(b)
}
