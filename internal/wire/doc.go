// Package wire translates between the vocabulary (internal/api) and the messages of proto/objects.proto. The gRPC door and the client
// are thin because everything that both must agree on stands here once.
//
//	api.Target, Request, Event …  ── target.go, body.go, write.go, read.go ──  proto.Target, WriteRequest, WatchBatch …
//	*apierrors.StatusError        ── status.go ──  gRPC status (the whole metav1.Status in its details)
//	api.Stream                    ── stream.go ──  a bidirectional stream of proto.Frame
//
// Start reading at status.go's table, then body.go: objects travel as bytes in their own protobuf form, so that a new kind changes
// nothing here.
//
// Invariants: decode(encode(x)) means the same as x (wire_test.go tries it with random values); nothing is lost of an error; a
// selector that matches nothing never becomes one that matches everything.
//
// Real Kubernetes sends JSON or protobuf over HTTP; its paths, queries and headers are what the messages are here.
package wire
