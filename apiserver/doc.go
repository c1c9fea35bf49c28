// Package apiserver binds the layers of the API server: the only door to the cluster's objects.
//
//	door ─▶ auth ─▶ registry ─▶ store          a request
//	 │                  │
//	 └─ kept ─▶ hub ◀───┘                      what only a component can answer: logs, exec
//
// Start reading at New, which is the list of the layers, then follow a write: door/grpc/objects.go, auth/authorize.go, registry/write.go,
// store/store.go. Settings.Run is the process: certificates, database, port.
//
// Invariants: only the registry writes the store; every caller, also one in the same process, passes auth.
//
// Real Kubernetes' kube-apiserver is three servers in a chain (aggregator, its own kinds, custom resources) over a generic library.
package apiserver
