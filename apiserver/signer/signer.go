// Package signer answers the CertificateSigningRequests of nodes: by it a machine that has a bootstrap token becomes a node, and a node gets a new
// certificate before its old one ends.
//
//	ctl join ── create ──▶ request ── judge ──▶ approval: Approved, or Denied with the reason ── sign ──▶ status.certificate
//
// It knows the signers kubernetes.io/kube-apiserver-client-kubelet, of nodes, and kubernetes.io/kube-apiserver-client, of people and programs: what is
// no node's request stays Pending until a person approves it (ctl certificate approve).
//
// Invariants: the CA's key does not leave the API server; a name whose node is alive is not given to a second machine; what is no
// proper request to its signer is not signed, whoever approved it.
//
// Real Kubernetes has this in the controller manager (csrapproving asks the RBAC authoriser who may, csrsigning has the key, csrcleaner is
// Rules.TTL here), and gives a bootstrap token the name of any node, alive or not.
package signer

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	certificatesv1 "k8s.io/api/certificates/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/validation"

	"optimist/internal/api"
	"optimist/internal/informer"
	"optimist/internal/pki"
	"optimist/internal/reconcile"
)

type (
	request   = certificatesv1.CertificateSigningRequest
	condition = certificatesv1.CertificateSigningRequestCondition
)

const life = 365 * 24 * time.Hour // of a certificate, if the request does not ask for less

// Signer signs with the cluster's CA.
type Signer struct {
	Service api.Service
	CA      *pki.CA // nil: requests are answered with that
	Log     *slog.Logger
}

// Run answers requests until ctx ends.
func (s *Signer) Run(ctx context.Context) error {
	set := informer.NewSet(s.Service)
	requests := informer.Watch(set, api.CertificateSigningRequests, informer.Options[*request]{})
	loop := reconcile.NewLoop(reconcile.Controller{For: api.CertificateSigningRequestKind, Reconcile: func(ctx context.Context, key api.Key) (time.Duration, error) {
		r, ok := requests.Get(key)
		if !ok {
			return 0, nil
		}
		return 0, s.Step(ctx, r)
	}}, reconcile.Deps{Set: set, Service: s.Service, Log: s.Log})
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return set.Run(ctx) })
	g.Go(func() error { return loop.Run(ctx) })
	return g.Wait()
}

// Step takes a request as far as one write does: its change comes as the next event.
func (s *Signer) Step(ctx context.Context, r *request) error {
	block, _ := pem.Decode(r.Spec.Request)
	if block == nil {
		return nil // the registry takes no such request
	}
	req, err := x509.ParseCertificateRequest(block.Bytes)
	wrong := signers[r.Spec.SignerName]
	if err != nil || wrong == nil || len(r.Status.Certificate) > 0 {
		return err
	}
	r = r.DeepCopy()
	switch conditions := r.Status.Conditions; {
	case len(conditions) == 0 && r.Spec.SignerName == certificatesv1.KubeAPIServerClientKubeletSignerName && wrong(r, req) == "":
		alive, err := s.alive(ctx, nodeOf(req), time.Now())
		if c := judge(r, nodeOf(req), alive); err == nil && c != nil {
			r.Status.Conditions = []condition{*c}
			_, err = s.Service.Write(ctx, api.CertificateSigningRequests.Request(api.VerbUpdate, api.KeyOf(r), "approval", r))
		}
		return err
	case len(conditions) == 1 && conditions[0].Type == certificatesv1.CertificateApproved:
		s.sign(r, req, wrong(r, req))
		_, err = api.CertificateSigningRequests.UpdateStatus(ctx, s.Service, r)
	}
	return err
}

// judge decides on a node's request that nobody has decided on; nil = that is left to people.
func judge(r *request, node string, alive bool) *condition {
	bootstraps := slices.Contains(r.Spec.Groups, api.GroupBootstrappers)
	renews := r.Spec.Username == api.NodePrefix+node && slices.Contains(r.Spec.Groups, api.GroupNodes)
	switch {
	case bootstraps && alive:
		return &condition{Type: certificatesv1.CertificateDenied, Status: corev1.ConditionTrue, Reason: "NodeIsAlive", Message: fmt.Sprintf("node %q is there and alive: "+
			"choose another name (--node-name), or, if that machine is gone for good, remove the node first: ctl delete node %s", node, node)}
	case bootstraps || renews:
		return &condition{Type: certificatesv1.CertificateApproved, Status: corev1.ConditionTrue, Reason: "AutoApproved", Message: "it is a node's own request"}
	}
	return nil
}

// signers are those that it signs for, and what keeps a request from being one of theirs.
var signers = map[string]func(*request, *x509.CertificateRequest) string{
	certificatesv1.KubeAPIServerClientKubeletSignerName: notANode,
	certificatesv1.KubeAPIServerClientSignerName:        notAClient,
}

// notAClient: people and programs may have any name and any groups but those that may do everything; a person has approved them.
func notAClient(r *request, req *x509.CertificateRequest) string {
	may := []certificatesv1.KeyUsage{certificatesv1.UsageClientAuth, certificatesv1.UsageDigitalSignature, certificatesv1.UsageKeyEncipherment}
	others := slices.ContainsFunc(r.Spec.Usages, func(u certificatesv1.KeyUsage) bool { return !slices.Contains(may, u) })
	switch {
	case req.Subject.CommonName == "":
		return "the subject must have a common name: the user"
	case slices.Contains(req.Subject.Organization, api.GroupMasters):
		return "the group " + api.GroupMasters + " is not given"
	case others || !slices.Contains(r.Spec.Usages, certificatesv1.UsageClientAuth):
		return fmt.Sprintf("the usages must have %q, and may have %q", may[0], may[1:])
	}
	return ""
}

// notANode is what keeps a request from being one of a node.
func notANode(r *request, req *x509.CertificateRequest) string {
	needed, may := []certificatesv1.KeyUsage{certificatesv1.UsageClientAuth, certificatesv1.UsageDigitalSignature}, certificatesv1.UsageKeyEncipherment
	usages := slices.DeleteFunc(slices.Sorted(slices.Values(r.Spec.Usages)), func(u certificatesv1.KeyUsage) bool { return u == may })
	switch {
	case nodeOf(req) == "" || !slices.Equal(req.Subject.Organization, []string{api.GroupNodes}):
		return "the subject must be CN=system:node:<name>, O=system:nodes"
	case len(req.DNSNames)+len(req.EmailAddresses)+len(req.IPAddresses)+len(req.URIs) > 0:
		return "a node's client certificate has no further names or addresses"
	case !slices.Equal(usages, needed):
		return fmt.Sprintf("the usages must be %q, and may be %q too", needed, may)
	}
	return ""
}

func nodeOf(req *x509.CertificateRequest) string {
	name, ok := strings.CutPrefix(req.Subject.CommonName, api.NodePrefix)
	if !ok || len(validation.IsDNS1123Subdomain(name)) > 0 {
		return ""
	}
	return name
}

// sign sets the certificate, or a condition that says why there is none.
func (s *Signer) sign(r *request, req *x509.CertificateRequest, fault string) {
	valid := life
	if asked := r.Spec.ExpirationSeconds; asked != nil {
		valid = min(valid, time.Duration(*asked)*time.Second)
	}
	if s.CA == nil {
		fault = "the API server has no key of the CA (ca.key in its --pki folder)"
	} else if cert, err := s.CA.Sign(req, valid); err != nil {
		fault = err.Error()
	} else if fault == "" {
		r.Status.Certificate = cert
		return
	}
	r.Status.Conditions = append(r.Status.Conditions, condition{Type: certificatesv1.CertificateFailed, Status: corev1.ConditionTrue,
		Reason: "SignerValidationFailure", Message: fault})
}

// alive reports whether a Node exists and has renewed its Lease lately.
func (s *Signer) alive(ctx context.Context, node string, now time.Time) (bool, error) {
	_, err := api.Nodes.Get(ctx, s.Service, api.Key{Name: node})
	l := &coordinationv1.Lease{}
	if err == nil {
		l, err = api.Leases.Get(ctx, s.Service, api.Key{Namespace: corev1.NamespaceNodeLease, Name: node})
	}
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	return err == nil && l.Spec.RenewTime != nil && l.Spec.LeaseDurationSeconds != nil &&
		now.Before(l.Spec.RenewTime.Add(time.Duration(*l.Spec.LeaseDurationSeconds)*time.Second)), err
}
