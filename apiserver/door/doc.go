// Package door opens the one TLS port of the API server and sends each connection, by the protocol that its client asked for (ALPN), to whom
// it concerns.
//
//	:6443 ── TLS ──┬─ "optimist-grpc" ─▶ door/grpc: the native server
//	               ├─ "optimist-kept" ─▶ door/grpc: roles flip, the API server asks the component that dialed
//	               └─ "h2", "http/1.1", none ─▶ door/rest, for kubectl and friends
//
// Start reading at Serve. Who a connection belongs to stands in the client's certificate: User.
//
// Invariants: a handshake cannot hold up another one and has a time limit; a protocol without a door is refused in the handshake.
//
// Real Kubernetes serves HTTP only, on one port, and tells its callers apart in a chain of HTTP filters.
package door
