// Package scheduler finds a node for each pod that has none.
//
//	watch ─▶ cache: nodes and what is placed on them ──┐
//	     └─▶ queue: pods that wait                     ▼
//	           active ──pop──▶ decide(pod, nodes) ──fits──▶ bind (a write) ─▶ done
//	             ▲                    │
//	             │                    └─fits nowhere─▶ condition + Event, node by node
//	             └── back-off ◀── woken by what can help ◀── waiting
//
// Read decide.go first: it is pure and is the whole of scheduling. Then scheduler.go (the loop), queue.go, cache.go; the rules
// are in package plugins.
//
// Invariants: no pod is decided on while the node's account lacks an earlier decision (decisions are entered in the cache before they are
// written); a decision that could not be written is taken out again; a pod that fits nowhere is looked at again only after a change that one
// of the filters which refused it has named.
//
// Real Kubernetes does the same with a snapshot per cycle, more extension points, and samples nodes in large clusters instead of
// looking at all of them.
package scheduler
