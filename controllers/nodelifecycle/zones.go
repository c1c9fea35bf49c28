package nodelifecycle

import (
	"time"

	corev1 "k8s.io/api/core/v1"
)

// How fast nodes are given up, so that a fault in the network does not move everything at once. (Concepts → Nodes → rate limits on eviction.)
//
//	state of the zone                            one node every
//	most are ready                               10 s    --node-eviction-rate 0.1
//	≥ 55 % and ≥ 3 are not, more than 50 nodes   100 s   --secondary-node-eviction-rate 0.01, --unhealthy-zone-threshold 0.55
//	≥ 55 % and ≥ 3 are not, at most 50 nodes     never   --large-cluster-size-threshold 50
//	none is, but in other zones some are         10 s
//	none is in any zone                          never, and what was begun is taken back (allLost)
const (
	pace      = 10 * time.Second
	slowPace  = 100 * time.Second
	unhealthy = 0.55
	fewLost   = 2
	largeZone = 50
)

// excluded is the label of nodes that do not count in a zone's health.
const excluded = "node.kubernetes.io/exclude-disruption"

// zone is what the limits depend on.
type zone struct {
	ready, lost int
	last        time.Time // when the newest NoExecute taint was put on one of its nodes
}

func zonesOf(nodes []*corev1.Node) map[string]zone {
	zones := map[string]zone{}
	for _, n := range nodes {
		if _, out := n.Labels[excluded]; out {
			continue
		}
		z := zones[zoneOf(n)]
		if isReady(n) {
			z.ready++
		} else {
			z.lost++
		}
		if t := evictingTaint(n); t != nil && t.TimeAdded.After(z.last) {
			z.last = t.TimeAdded.Time
		}
		zones[zoneOf(n)] = z
	}
	return zones
}

func zoneOf(n *corev1.Node) string {
	return n.Labels[corev1.LabelTopologyRegion] + "/" + n.Labels[corev1.LabelTopologyZone]
}

// allLost reports that no node is ready anywhere.
func allLost(zones map[string]zone) bool {
	for _, z := range zones {
		if z.ready > 0 {
			return false
		}
	}
	return true
}

// wait is for how long no further node of the zone may be given up; not ok: as long as it is in this state.
func (z zone) wait(now time.Time) (left time.Duration, ok bool) {
	every := pace
	if all := z.ready + z.lost; z.ready > 0 && z.lost > fewLost && float64(z.lost)/float64(all) >= unhealthy {
		if all <= largeZone {
			return 0, false
		}
		every = slowPace
	}
	if z.last.After(now) { // by another's clock
		return 0, true
	}
	return max(0, every-now.Sub(z.last)), true
}
