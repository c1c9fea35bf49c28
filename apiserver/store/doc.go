// Package store keeps bytes in order: keys, values, and one revision number that grows by one with every transaction.
// It knows nothing of Kubernetes; package registry gives the bytes their meaning.
//
//	        Commit(Txn{If, Do, Note})
//	                 │ one writer, group commit, synced
//	                 ▼
//	revision 7   /apps/deployments/default/web = …      Note: who and why
//	revision 8   /core/pods/default/web-1      = …
//	                 │
//	                 ├─ Get, List   now, or as of an older revision
//	                 └─ Watch       every revision after one, whole, in order
//
// Invariants, which storetest checks on every implementation:
//   - A transaction is applied wholly, at one revision, or not at all; revisions have no gaps and never repeat.
//   - Commit returns only when the transaction would survive a loss of power.
//   - A watch yields each revision that touches its prefix exactly once, in order, or ends with an error; it never skips silently.
//   - Below the compacted revision nothing can be read: ErrCompacted.
//
// Start reading at Store, then Txn; package memory is the shortest implementation, package bolt the one that ships.
// Both keep their recent revisions and their watchers in a timeline.
//
// Real Kubernetes keeps its objects in etcd, whose model (revisions, compare-and-swap transactions, watch from a revision,
// compaction) this interface follows; bbolt is the file format below etcd's own storage.
package store
