// Package lab holds the labs: what each sets up, and how it is seen in a cluster that a learner has done its steps.
//
//	docs/labs/2-the-reconcile-loop.md     what to do, and why             ── for people
//	setup/2.yaml                          what is there before the first step
//	All()[1].Steps                        what `ctl lab check 2` looks for ── one row a step: text, hint, look
//
// A step is judged by what it left in the cluster (objects, Events, Leases, logs), never by who typed what. Start reading at lab.go (what a
// lab is), then labs.go (all five).
//
// Invariants: checking changes nothing; every lab stays within a namespace of its own; looks are pure functions of one reading.
package lab
