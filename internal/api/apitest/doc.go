// Package apitest says what every api.Service must do. Whoever implements the interface runs the suite against it: the registry directly, the
// gRPC door with its client around it.
//
//	func TestService(t *testing.T) {
//		apitest.Run(t, func(t *testing.T) api.Service { return … })
//	}
//
// The service that `open` returns is empty but for what every cluster has (namespaces default, kube-system …), runs, and lets the caller do
// everything; it ends with the test. The suite takes real time, but never waits for time to pass.
//
// Start reading at Run, whose table is the list of contents. Object turns a YAML literal into a typed object, for all tests of the
// project; Detect wraps a Service so that the test fails if anybody changes an object that was only to be read (law 12).
//
// Real Kubernetes checks its API with the conformance part of its end-to-end tests, which need a whole cluster.
package apitest
