// Package check reads a bbolt file page by page before bbolt does. bbolt maps the file into memory and trusts it: a truncated file
// kills the process with SIGBUS, a damaged page with a panic in a goroutine that nobody can recover.
//
//	page 0, 1   meta: magic, page size, root, how many pages; the newer one with a right checksum counts
//	  └─ root   leaf of buckets: meta, revisions
//	       └─ branch pages: first key → page
//	            └─ leaf pages: key → value
//
// It accepts a file only if every page that can be reached lies inside the file, is reached once, is what it claims to be, and holds its
// keys in order. Values are not looked into; package bolt does that.
//
// Start reading at File, then walker.visit. The layout is bbolt's own, which has not changed since 2013.
//
// Real Kubernetes has etcd verify checksums of its write-ahead log; for the bbolt file there is `etcd-dump-db` and hope.
package check
