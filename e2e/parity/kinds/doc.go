// Package kinds compares the rules of kinds with Kubernetes v1.37.2's: what becomes of an object that was sent, and what is wrong with one that was changed, field by
// field. It is a module of its own because it needs the whole of k8s.io/kubernetes; to build that takes minutes. The list of allowed differences only shrinks.
package kinds
