// Package proxy makes Services and host ports work on a node: connections to a Service's addresses are rewritten to one of its endpoints, by the node's
// one nft table. A host port is a frontend with its pod for a backend.
//
//	Services, EndpointSlices ──► plan (pure, one Service) ──► book (all) ──► Delta ──► Table: nft, or a map in tests
//
//	prerouting, output ─► dispatch ─┬─ from pods or the node ─► inside ── vmap @inside_services ─┐
//	  (nat, dstnat)                 └────────────────────────────────── vmap @any_services ──────┤  10.96.0.5 . tcp . 80 : goto pick_3_any_ip_pods_0
//	                                                                                             ▼
//	   drop, or refuse (TCP reset, port unreachable) ◄──────────────────────── pick_<backends>_<maps>_<key>_<hidden>_<sticky s>
//	                                                      [stick: @affinity, if in @any_alive]   │
//	                                                      10.96.0.5 . tcp . 80 . random of 3 ────┴─► @any_backends ─► dnat to 10.244.1.7 . 8080
//	postrouting ─► masquerade what a pick has marked, and pods that reach themselves (@hairpin) or leave the cluster
//	unserved_output, unserved_forward ─► refuse what still has an address of the Service range: none of it ever leaves the machine
//
// A node port's key has 0.0.0.0 for all of the node's addresses (but 127.0.0.0/8). Look at it with `nft list table ip optimist_<cluster>_<node>`.
// Start reading at plan.go; then Proxy.Step, then rules_linux.go.
//
// Invariants: the order of events does not matter; a change is a few elements in one transaction, whose size does not depend on the number of Services; no
// packet meets a table half written; who is not in the way of the answer sees the client's own address. The agent's end changes nothing.
//
// Real Kubernetes calls this kube-proxy; its nftables mode has a chain per Service and endpoint and runs `nft`. It also answers at healthCheckNodePort, obeys
// loadBalancerSourceRanges and the hints of slices, which this does not yet.
package proxy
