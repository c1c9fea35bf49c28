// Package forgetful is a disk that forgets what was not synced, for tests of what survives a loss of power. kill -9 proves little about
// that: the kernel's page cache outlives the process.
//
//	program under test ── write, mmap, fsync … ── kernel (page cache) ── FUSE ──▶ Disk
//	                                                                              │  now     what programs see
//	                                                                              │  stable  what was synced
//	                                                                              └─ loose   what was written since
//	Cut: from this moment on the disk does nothing and answers nothing       ──▶  Restore: what is left of it, mounted anew
//
// What is modelled, as unkindly as POSIX and the block layer allow:
//
//   - A write stays loose until fsync or fdatasync of its file. Of what is loose, each sector of 512 bytes survives or not by itself, in any
//     of the versions that were written: torn pages, and later writes without earlier ones.
//   - A file's size is loose until its fsync, also by itself: data beyond the size that survives is lost, what was never written reads as zeros.
//   - A name (created, linked, renamed, removed; of a file or of a folder) is loose until fsync of the folder that holds it, each name by
//     itself: a rename may leave both names, the old one, the new one, or none. Syncing a file does not save its name.
//   - What a sync has answered for is never lost, and nothing is ever garbled that was not being written.
//
// Not modelled: owners, modes and times (they are never lost), disks that lie about syncs, sectors that rot.
//
// Start reading at Disk; content.go and names.go are the two things that can be loose, kernel.go is the wire to the kernel.
package forgetful
