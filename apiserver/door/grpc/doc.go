// Package grpc is the native door: any api.Service as a gRPC server, and the server's half of kept connections.
//
//	connection (TLS done) ─▶ grpc.Server ─▶ who is it? ─▶ decode ─▶ api.Service ─▶ encode        objects.go
//	connection (TLS done) ─▶ grpc.ClientConn ─▶ hub, under the certificate's name                kept.go
//
// What a caller says is not believed: who he is stands in his certificate, and causes count only when the system itself names them.
//
// Start reading at Server, then objects.go; package wire does all translation.
//
// Invariants: a panic in one call is that call's InternalError; only errors of our own (5xx) are logged; nothing of a call is read before its caller
// is known; when the server stops, watches
// and streams end with ServiceUnavailable instead of hanging on.
//
// Real Kubernetes' native protocol is REST over HTTP; gRPC it uses to its stores and plugins (etcd, CRI, CSI, device plugins).
package grpc
