// Package pki is the cluster's own certificate authority: it makes the CA, certificates for every component and kubeconfigs around them.
//
//	<dir>/ca.crt, ca.key                      the root of trust, ten years
//	<dir>/apiserver.crt, apiserver.key        what the API server shows, one year
//	<dir>/admin.kubeconfig                    system:masters: may do everything
//	<dir>/scheduler.kubeconfig, controllers.kubeconfig, controller-<name>.kubeconfig, node-<name>.kubeconfig
//
// Who somebody is stands in the certificate: the common name is the user, the organizations are the groups. Losing ca.key means losing
// the cluster's identity; everything else is made anew by Bootstrap, which one can repeat at every start.
//
// Start reading at Bootstrap, then ca.go; merge.go is how `ctl` adds a cluster to the kubeconfig that a person already has.
//
// Invariants: keys are ECDSA P-256 and never world-readable; a certificate is issued again when less than a third of its life is left;
// merging keeps everything in a kubeconfig that is not ours.
//
// Real Kubernetes: kubeadm makes three CAs (cluster, front proxy, etcd) and about ten certificates; nodes get theirs by a
// CertificateSigningRequest after joining with a token.
package pki
