// Package images gets images onto the node: each only once at a time, with the login that fits its registry.
//
//	pod worker ── Find (local?) ── Pull ──► turn of this image ──► a free slot ──► Runtime.Pull with each fitting login
//
// Start reading at pull.go. What a failed pull means for a pod (the waiting reason, the back-off) is decided in package pod, by its plan;
// Delay is the curve that it uses.
//
// Real Kubernetes' kubelet also collects images that nobody uses when the disk fills up, and can run credential plugins per registry.
package images
