// Package e2e tests Optimist as a whole.
//
//	laws_test.go   the import laws: who may use whom
//	scale_test.go  a thousand pods on a hundred nodes in one process: a benchmark
//	causes_test.go what is written follows from something; once all is settled nothing is written
//	stories/       what a cluster does, told in fake time: read them first
//	leaders/       two schedulers and two controllers as processes, the leaders paused and woken later
//	simulation/    whole clusters from a seed, with misfortunes and invariants; a crash at every write
//	mutants/       ten mistakes that the simulation must find
//	why/           broken on purpose, healed by what `ctl why` prints
//	durability/    the real API server killed, its power cut, its disk full or read-only
//	watch/         watches against a model of what was written
//	siege/         thousands of clients who mean no good
//	fuzz/          every fuzz target of the module, a minute each
//	real/          real containers, kill -9, the demo (needs root)
//	bench/         measurements; they never fail
//	vm/            the demo in a virtual machine
package e2e
