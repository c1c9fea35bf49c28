// Package parity compares what Optimist says with what Kubernetes v1.37.2 says: its published files (from the module k8s.io/kubernetes) and its own client libraries.
// It is a module of its own, so that nothing of them gets into the product's. Each list of allowed differences only shrinks.
package parity
