// Package pod keeps the pods of one node: what each should be (the API server's Pod), what it is (the runtime's sandbox and containers),
// and the next step between the two.
//
//	     Pod (cache) ─┐
//	Sandbox (runtime) ├─► View ─► Plan ─► steps, each with its why ─► Worker acts ─► runtime, network, API server
//	     Memory ──────┘            │                                        │
//	                               └── Status: the same View as a PodStatus  └─► Memory: what failed, and when to try again
//
// Start reading at plan.go: it is the whole policy, without clock and I/O. look.go says where each container stands, status.go tells it to
// the API server; worker.go is the loop around; act.go and tell.go hold one function per step, probes.go those
// that ask; spec.go, env.go and names.go turn a Pod into what the runtime wants.
//
// Invariants:
//   - nothing that matters is only in Memory: restart counts are the attempts' numbers, the crash back-off is a label of the attempt, the
//     rest of a grace period follows from deletionTimestamp. A killed agent reads State and goes on, and starts nothing twice;
//   - one worker a pod (by uid, not name), and nobody else touches its sandbox;
//   - a Pod leaves the API server only after its containers are gone; a sandbox whose Pod is not in the cache is removed only after the API
//     server confirmed it, and only if it knows at least as much as we have seen.
//
// Real Kubernetes' kubelet does this in pod_workers, SyncPod and computePodActions; it restarts its relists from a PLEG and keeps
// back-offs in memory.
package pod
