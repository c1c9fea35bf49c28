// Package auth decides who may do what. It stands as an api.Service before the registry: what is not allowed does not get through.
//
//	door ── ctx with api.User ──▶ Gate ──▶ registry
//	                               │ system:masters, system:apiserver     everything
//	                               │ system:node:<n>                      node.go: what concerns its own pods
//	                               │ system:bootstrap:<id>                node.go: ask for a certificate, read cluster-info
//	                               └ everybody else                       Roles: system.yaml + roles.yaml
//
// Roles are data: system.yaml is written by hand, roles.yaml is generated from what the controllers declare that they watch and write
// (law 5), so a controller that does more than it says is stopped here. What nodes and machines that join may do stands in system.yaml, too, under
// their groups; a rule's scope says of which objects, and node.go decides on that.
//
// Start reading at authorize.go, then node.go; token.go says who shows a bootstrap token.
//
// Invariants: what no rule allows is forbidden; the node authorizer decides by the pods as they are now, never by an older picture; the
// words of a refusal are Kubernetes'.
//
// Real Kubernetes keeps roles as RBAC objects (Role, ClusterRole and their bindings) and has a node authorizer with a graph of
// which node may see what; here the graph is a look at the node's pods.
package auth
