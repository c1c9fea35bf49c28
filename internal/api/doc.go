// Package api is the vocabulary that all parts of Optimist share: what an object is, where it lives, what can be asked of it.
// It holds no logic of any part and imports no other package of ours.
//
//	Kind ── a row of the Catalogue: group, names, versions, subresources
//	Key  ── namespace and name
//	Target{Kind, Key, Sub} + Verb + body = Request ──▶ Service ──▶ Result
//
// Service is the heart. The registry implements it over the store, the authoriser wraps it, the gRPC door offers it, the client
// implements it again on the other side, and the informers wrap that once more. A component that is written against Service
// therefore runs unchanged over a network, in one process, or in a simulation.
//
// Start reading at service.go, then request.go, then kind.go; typed.go shows how callers use it:
//
//	pod, err := api.Pods.Get(ctx, svc, api.Key{Namespace: "default", Name: "web"}) // *corev1.Pod
//
// Invariants: objects that come from a Service or an informer are read-only (they may be shared); a body handed to Write belongs to
// the callee from then on; kinds are compared by GroupKind, never by pointer; errors are those of apimachinery's api/errors.
//
// Real Kubernetes generates a client, an informer and a lister per kind and has no common interface between its server's inside and
// its clients; here generics and one interface do.
package api
