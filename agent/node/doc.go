// Package node keeps the agent's own Node: that it exists, what the machine has, that it lives.
//
//	machine ─► desired ─► differs from the cached Node? ─► patch of status      every 10 s: renew Lease kube-node-lease/<node>
//	                      (conditions keyed by type)
//
// Start reading at node.go. Invariants: only what this agent owns is patched (conditions Ready, NetworkUnavailable, MemoryPressure, DiskPressure and PIDPressure; capacity,
// addresses, nodeInfo), so that taints, labels and other conditions of others stay; a silent node shows by its Lease. What package
// controllers/nodelifecycle says of a silent node (Ready is Unknown) the first look after the silence corrects.
//
// Real Kubernetes' kubelet does the same (kubelet_node_status.go); there podCIDR comes from the node IPAM controller, here from the registry.
package node
