// Package dns answers the questions of a node's pods: the cluster's own names from the agent's cache, all others through the node's upstreams.
//
//	pod ── UDP/TCP ──▶ <DNS address>:53 ──▶ Server.reply
//	                                          ├──▶ Zones.answer (pure) ◀── Services and EndpointSlices (informers)
//	                                          └──▶ forward: cache ▸ one flight per question ▸ UDP, then TCP ▸ the next upstream
//
// Start reading at zones.go, which is the specification (https://github.com/kubernetes/dns/blob/master/docs/specification.md) as code; the
// numbers there are its sections. Then server.go, forward.go, resolv.go.
//
// Invariants: an answer about the cluster needs neither the API server nor a scan: one Get, or one look into an index. Whatever waits is
// bounded: cache, flights, time per upstream; without an upstream the answer is SERVFAIL at once. No name of the cluster's zones, forward or
// reverse, is asked outside, and no loopback stub (127.0.0.53) is ever asked. A namespace is known by its Services: without any it is NXDOMAIN.
//
// Real Kubernetes runs CoreDNS as a Deployment behind the Service kube-dns, and often a cache on each node in front of it.
package dns
