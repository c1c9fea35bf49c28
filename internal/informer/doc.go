// Package informer keeps a local, indexed copy of the kinds that a component watches.
//
//	            Watch: initial list, events, bookmarks
//	Service ───────────────────────────────────────────▶ cache ──▶ Reader.Get / List / OwnedBy / Indexed
//	   ▲                                                  ▲  │
//	   └── Write ── Over(service) ── the write's result ──┘  └──▶ Listen: a queue learns which key changed
//
// The lower path is what makes the copy safe to plan on (law 6): a component's own successful write is laid over the cache before Write
// returns, so that nobody ever plans on a state older than its own last write. An object (or, for deletions, a tombstone) enters with its
// revision, and events that are not newer are ignored. A write whose outcome is unknown (a time-out, a broken connection) or whose effect
// cannot be read off its answer (deletecollection) makes the Set unsure; Settle then waits until the watches have caught up with the server.
//
// Start reading at set.go, then cache.go (the rules for one kind, without any I/O), overlay.go (own writes), run.go (the goroutines).
//
// Invariants: an entry's revision never goes back; a tombstone leaves when the watch has passed it; listeners hear each kind's changes one
// at a time and in the order in which readers see them; objects are read-only (OPTIMIST_DETECT_MUTATIONS=1 panics on whoever forgets).
//
// Real Kubernetes has client-go's reflector, DeltaFIFO, indexer and shared informer, and no overlay: its controllers count
// "expectations" instead, and each has to remember what it did but has not seen yet.
package informer
