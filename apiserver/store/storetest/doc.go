// Package storetest is the conformance suite of store.Store: what every implementation promises, as tests.
//
//	func TestStore(t *testing.T) { storetest.Run(t, open, reopen) }
//
//	write.go     guards, all or nothing, revisions without gaps, many writers at once
//	read.go      lists, limits, reading the past, compaction
//	watch.go     replay and live, whole revisions, progress, and the four ways in which a watch ends
//	model.go     random histories, compared with a plain map per revision
//	restart.go   the same data, notes and watches after closing and opening again
//
// Start reading at Run. A new implementation is done when Run passes; whatever is peculiar to it (files, crashes, full disks)
// it tests beside itself.
//
// Real Kubernetes tests its storage in the same way: one suite beside the interface, run against etcd and the watch cache.
package storetest
