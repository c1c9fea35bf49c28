// Package leader keeps one of several copies of a component active, by a Lease that they compete for.
//
//	candidate ── holder empty, or unchanged for 15 s on *our* clock ──▶ take it (a new epoch) ──▶ lead(ctx with fence)
//	    ▲                                                                                          │ renew every 2 s
//	    └───────── lead has returned ◀── ctx cancelled ◀── 10 s without a successful renewal ──────┘
//
// Being deposed is found out too late by design (a paused process does not run its timers), so the Lease alone protects nothing. What
// protects is the fence (law 10): every write under lead's context names the holder and spec.leaseTransitions as of when the lease was
// won, and the registry makes that a guard of the write's transaction. A late write of an old leader is refused, whenever it arrives.
//
// Start reading at leader.go.
//
// Invariants: every acquisition begins a new epoch, also when the same ID comes back; nobody's wall clock is compared with anybody
// else's; Run returns only after lead has.
//
// Real Kubernetes has client-go's tools/leaderelection, without fencing.
package leader
