// Command bench measures Optimist as it is built: the programs in bin/, on this machine's disk and cores.
//
//	go run ./e2e/bench                  everything (make bench; root, about six minutes)
//	go run ./e2e/bench -only writes     one section: writes, watch, dns, start, idle, pods or services
//	go run ./e2e/bench -short           fewer rounds: to see that it works, not to quote
//
// Each section is one file and returns figures, which become the rows of one table; the command in a row measures just this row again.
// A figure that misses its reach is a row like all others: what fails a build is a test, and a busy machine is no fault of the code.
// Clusters have a network namespace of their own (package real), and nothing is left behind.
//
// Start reading at main.go, then writes.go. The figures that were measured last, and on what, are in docs/benchmarks.md.
//
// What others do: Kubernetes has perf-tests (clusterloader2), whose service level objectives are about clusters of thousands of nodes.
package main
