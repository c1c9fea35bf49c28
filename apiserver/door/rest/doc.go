// Package rest is the door for kubectl, Helm and client-go: Kubernetes' HTTP paths, queries, encodings and answers in front of any api.Service.
//
//	connection (TLS done) ─▶ http.Server ─▶ who is it? ─▶ path ─┬─ names objects ─▶ api.Service ─▶ JSON, protobuf, YAML, Table      objects
//	                                                            ├─ logs, exec, ports ─▶ Connect ─▶ text, WebSocket, SPDY, HTTP        stream.go
//	                                                            └─ anything else ─▶ Config.Routes (discovery, health, metrics)
//
// Nothing here knows a kind: what there is, and what can be asked of it, stands in the catalogue.
//
// Start reading at Server and its ServeHTTP (server.go), then path.go; read.go, watch.go and write.go have a verb each; negotiate.go chooses
// an encoding and encode.go has all of them. discovery.go tells what there is, openapi.go (with document.go) in which form, health.go and
// metrics.go how the server is.
//
// Invariants: every answer is an object or a metav1.Status; a panic is that request's 500; who cannot be served is told so (429) instead of
// queued, and one user has at most a third of all places; a watch has its headers as soon as it is accepted, and no client can hold a goroutine by not reading, unless it holds a process or
// a connection that is its own (exec, logs, ports): those wait for it, and end with it.
//
// Real Kubernetes generates a storage, a handler and a client per kind, and converts through internal types in between.
package rest
