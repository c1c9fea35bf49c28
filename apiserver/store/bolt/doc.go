// Package bolt is the store that ships: one bbolt file, written by one goroutine.
//
//	Commit ─┐                       ┌─ guards, in order, against the index
//	Commit ─┼─ queue ─ group commit ┼─ one bbolt transaction, one sync
//	Commit ─┘                       └─ publish: index and timeline move on, the writers get their revisions
//
// The file (format 1) has three buckets:
//
//	meta   format, incarnation, compacted
//	data   key, zero byte, inverted revision  →  kind (value or deletion), creation revision, value
//	log    revision  →  the keys that it changed, and its note
//
// The inverted revision sorts the newest version first, so "the key as of a revision" is one Seek. The log lets a watch start
// at an old revision, also after a restart.
//
// In memory are the index (the newest revisions of every key that exists) and the timeline (recent batches; as long as a
// batch is recent, the index holds its values too).
//
// Invariants:
//   - Memory never runs ahead of the disk: the index and the timeline change after the sync. While the outcome of a failed
//     commit is in doubt the file may be ahead, but reads are clipped to the timeline's now.
//   - A file that is refused has not been written to. It is checked page by page before bbolt sees it (package check).
//   - Compaction deletes in slices of the log, what each revision superseded; a crash between two slices leaves only garbage.
//
// What it costs: a group takes two syncs, and writes every page that it touches, about 10 KB for 1 KB at a random key. The keys' order
// in data is what makes lists and history one walk; it is paid for here (BenchmarkCommit). The file does not shrink: what compaction
// frees is used again.
//
// Start reading at DB, then (*DB).write and (*DB).commit; format.go says what the bytes mean, open.go what is refused.
//
// Real Kubernetes runs etcd, which keeps (revision → value) in bbolt, an index of all keys and all their revisions in memory, and a
// write-ahead log of its own, because Raft needs one; here bbolt's copy-on-write is the only commit protocol.
package bolt
