// Package registry implements api.Service over a store: everything that Kubernetes' objects have in common. What is peculiar to a kind is
// data (Rules; package kinds has one file of them per kind).
//
// A write:
//
//	decode ─▶ [ read ─▶ body or patch put in ─▶ default ─▶ mutate ─▶ default again ─▶ prepare ─▶ validate ─▶ check ─▶ claim ─▶ commit ]
//	strictly    ▲                                                                                                             │
//	            └──────────────────────────────── again, when something else was written meanwhile ◀─────────────────────────┘
//
// An apply is such a patch too, which besides says whose the fields are (apply.go, managed.go).
//
// A watch:
//
//	store.Watch ─▶ cache of the kind (bytes, labels, indexed fields) ─▶ recent changes ─▶ watcher's bounded queue ─▶ reader
//
// Start reading at write.go and update.go, then delete.go; for the other half read.go, cache.go and watch.go. rules.go is the
// contract with package kinds, fence.go the leaders' safety, facts.go how a write may rely on memory without being wrong.
//
// Invariants: all or nothing, in one transaction of the store; whatever a decision rests on (the namespace's existence, a leader's epoch,
// a claimed address) is a guard of that transaction. A write that changes nothing commits nothing. Objects that come out of here are shared
// and read-only; the caches hold bytes and share nothing with bodies that came in.
//
// Real Kubernetes has a generic registry store with a strategy per kind, which this resembles. Its caches sit below the registry and
// serve most reads; its check of the namespace can be stale, so that objects may slip into a terminating one; and it has no fences: a leader
// that was suspended may write once more after it has been replaced.
package registry
