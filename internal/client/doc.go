// Package client is api.Service over gRPC: what the registry offers on one side of the network, it offers again on the other.
//
//	informer, ctl …  ── api.Service ──▶ Client ── mTLS, ALPN "optimist-grpc" ──▶ apiserver/door/grpc ──▶ registry
//	agent, scheduler …  ◀── api.Connector ── Keep ── mTLS, ALPN "optimist-kept" ──◀ the same port, roles flipped
//
// A Client connects when it is first used and again whenever the connection broke, waiting at most two seconds between attempts; while
// there is no connection calls fail at once with ServiceUnavailable, so that whoever loops decides how long to try. Keep holds the second
// connection, on which the API server asks us (logs, exec): outbound, so that nodes behind NAT work.
//
// Start reading at client.go; trouble.go turns what gRPC says into what a person can act on, and marks ambiguous writes (api.Ambiguous).
//
// Invariants: no call outlives its context; a request that may have reached the server is never repeated; errors are API errors.
//
// Real Kubernetes has client-go with a generated client per kind over HTTP; its API server dials kubelets directly (port 10250), or through
// a konnectivity agent when it cannot reach them.
package client
