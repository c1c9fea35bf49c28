// Package logs reads what a container printed: the files that cmd/logger writes.
//
//	c.log.2   c.log.1   c.log            oldest first, each line of them one runtime.Line
//	                    ↑ reader         moves from the start (or the tail) to the end, and on while the container lives
//
// Start reading at read.go. Invariants: a line is delivered once and whole, and to the stream it was printed on; a rotation under
// the reader's feet loses nothing (it holds the old file open and looks for that file's successor); what is no entry is skipped.
//
// Real Kubernetes has the kubelet read the same format in the same way; there the runtime writes the files and the kubelet rotates
// them, here one small process per container does both.
package logs
