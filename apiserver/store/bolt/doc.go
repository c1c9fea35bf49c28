// Package bolt is the store that ships: one bbolt file, written by one goroutine.
//
//	Commit ─┐                       ┌─ guards, in order, against the timeline's index
//	Commit ─┼─ queue ─ group commit ┼─ one bbolt transaction, one sync
//	Commit ─┘                       └─ publish: the timeline moves on, the writers get their revisions
//
// The file (format 2) has two buckets:
//
//	meta       format, incarnation, compacted
//	revisions  revision          →  note
//	           revision, number  →  kind (value or deletion), creation revision, key, value
//
// It is read in this order once, at opening, for the index: which versions of which key there are. Values stay on disk, but for those of recent
// batches.
//
// Invariants:
//   - Memory never runs ahead of the disk: the timeline changes after the sync. While the outcome of a failed commit is in doubt the file may be
//     ahead, but nobody sees what the index does not have.
//   - A file that is refused has not been written to. It is checked page by page before bbolt sees it (package check). One of an older format is
//     rewritten and read in the same transaction.
//   - Compaction deletes in slices, the oldest first; a crash between two slices leaves only garbage, which the next opening finds.
//
// What it costs: a group takes two syncs, and writes little more than its own bytes, in one run if nothing has been compacted
// (BenchmarkCommit); a version takes about 63 bytes of memory, its key included. The file does not shrink: what compaction frees is used again.
//
// Start reading at DB, then (*DB).write and (*DB).commit; format.go says what the bytes mean, open.go what is refused.
//
// Real Kubernetes runs etcd: the same layout, and a log beside it, because Raft needs one; here bbolt's copy-on-write is the only commit protocol.
package bolt
