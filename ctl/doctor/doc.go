// Package doctor finds out why a machine can't be a node, or why the nodes of a cluster don't reach each other, and says what to mend.
//
//	before   Machine.Check   kernel, cgroups, programs, ports, limits, clock, firewalls       a table of checks over files (machine.go)
//	after    Examine         a pod on every node asks every other one, the Service in         pods.go, examine.go
//	                         front of them, and DNS: TCP, UDP, packets of full size
//
// The pods run this very program: its image is made of the executable and loaded onto the nodes, so that no registry is needed (image.go). What they
// answer is judged by pure functions (judge.go).
//
// Start reading at finding.go, then judge.go. Invariant: an examination removes all that it made, whatever it found.
//
// Real Kubernetes has kubeadm's preflight checks for the machine; for the cluster people use others' tools (cilium connectivity test, sonobuoy).
package doctor
