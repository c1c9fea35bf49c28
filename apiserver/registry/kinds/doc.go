// Package kinds says what is peculiar to each kind: one file of registry.Rules a kind, and All, the list of them.
//
//	pod.go deployment.go service.go …      the Rules of a kind: read one of these first (configmap.go is the shortest)
//	walk.go, check.go                      how tables about Go types are applied to objects, and the words that tables of faults are made of
//	podchecks.go, containerchecks.go, scheduling.go, workload.go
//	                                       the tables of the faults that pods and templates of pods can have
//	default.go, acted_table.go             the tables of what an author may leave out, and of what is stored though nothing acts on it yet
//	claims.go, service_claims.go, priorityclass.go
//	                                       what must be unique in the cluster: addresses, ports, ranges
//	columns.go, pod_columns.go             what a table shows
//
// A write passes here like this:
//
//	Default → (mutators) → Prepare → Validate → Claims → commit;  beside it Warnings, which never refuse
//
// Invariants: Default is idempotent; Validate names all faults at once, with the types and paths that Kubernetes gives them, and never
// panics, whatever was sent; nothing here reads a clock except where a condition needs the time of its change; nothing but Claims
// looks at the store, and Claims sees only keys below /claims/, which are its own.
//
// Real Kubernetes spreads the same over generated defaulters (pkg/apis/*/v1), pkg/apis/*/validation (22,700 lines), a strategy and a
// storage per kind (pkg/registry), admission plugins (priority, default tolerations) and pkg/printers. It allocates ClusterIPs and node
// ports before the write and repairs them in a loop when the write then fails; here they join the transaction. Its controller manager
// gives nodes their podCIDR some time after they appeared; here a Node never exists without one.
package kinds
