// Package timeline is a store's sense of time: which revisions can be read, which happened just now, and who watches them.
//
//	compacted ──┬── kept by the store ──┬── recent, in memory (bounded) ──┬── future
//	          floor                   first                              now
//	                    ▲                        ▲                         ▲
//	      a watcher that replays        a watcher a little behind    one that waits
//
// Watchers pull: each remembers only the last revision that it has seen, and all share the recent batches. One that starts
// in the past reads the store's log until it has caught up. One that had caught up and then falls out of the recent
// revisions ends with ErrSlow: it may list again, and nobody's memory grows for it.
//
// The index knows every version of every key that can be read, but no values: those are the store's, or among the recent batches.
//
// Invariants:
//   - The recent batches are consecutive and end at now, so there is no gap between log and memory.
//   - A watcher never sees a revision that the store has not published, that is, acknowledged.
//
// Start reading at Timeline, then Watch; then Index.
//
// Real Kubernetes gives every watcher a channel of its own, in etcd's watch streams and again in the API server's watch cache.
package timeline
