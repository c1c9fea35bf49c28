// Package agent is what runs on every node: it makes the pods that are bound to the node real, and tells how they are.
//
//	API server ── watch: Pods with spec.nodeName = this node ──► pods.go: one worker a pod (package pod) ──► runtime, network, images
//	     ▲                                                                    ▲
//	     ├── status, events, lease ◄── node.Keeper, pod workers               └── runtime.Events: "something in pod X has ended"
//	     ├── logs, exec, attach over the kept connection ──► server
//	     └── watch: Nodes ──► peers.go: the ways to other nodes' pods (package network)
//	         watch: Services, EndpointSlices ──► package proxy: the node's rules; package dns: answers for its pods
//
// Start reading at agent.go (Run: the order of a start), then package pod.
//
// Invariants: no worker starts before the cache of Pods is complete and the pod network stands; whatever is on the node belongs to a
// worker, also what an earlier agent left; the agent's death changes nothing for running containers, routes and rules. A simulated node (not Wired) has
// neither peers nor rules nor DNS.
//
// Real Kubernetes calls this the kubelet, with kube-proxy, a CNI plugin and CoreDNS beside it; it also mounts volumes, evicts, and keeps static pods.
package agent
