// Package auth finds out who calls and decides what he may do. It stands as an api.Service before the registry: what is not allowed does not get through.
//
//	door ── Identify ──▶ ctx with api.User ──▶ Gate ──▶ registry
//	        certificate                         │ system:masters           everything
//	        bootstrap token                     │ system:node:<n>          node.go: what concerns its own pods
//	        ServiceAccount's token              │ system:bootstrap:<id>    node.go: ask for a certificate, read cluster-info
//	        nobody                              │ scheduler, controllers   Roles: system.yaml + roles.yaml
//	                                            └ everybody else           rbac.go: Roles and ClusterRoles that are bound to him
//
// What is asked of the gate itself it answers: tokens (account.go, jwt.go), and who may do what (review.go). What only the finished object shows it refuses
// as a registry.Checker (check.go): giving away more than one has, a node's own labels and taints, approving for another's signer. policy.go makes the roles
// that every cluster has, from policy.yaml, and fills those that collect others' rules.
//
// The built-in roles are data: system.yaml is written by hand, roles.yaml is generated from what the controllers declare that they watch and write
// (law 5), so a controller that does more than it says is stopped here. What nodes and machines that join may do stands in system.yaml, too, under
// their groups; a rule's scope says of which objects, and node.go decides on that.
//
// Start reading at authorize.go, then rbac.go and node.go; identify.go says who calls.
//
// Invariants: what no rule allows is forbidden; a binding counts from the request after the one that made it; the node authorizer decides by the pods as they
// are now, never by an older picture; no object gives the system's own parts anything, or takes it; the words of a refusal are Kubernetes'.
//
// Real Kubernetes puts its own parts under RBAC, too, and has a node authorizer with a graph of which node may see what; here the graph is a look at the
// node's pods. NodeRestriction and the checks of certificates are admission plugins there.
package auth
