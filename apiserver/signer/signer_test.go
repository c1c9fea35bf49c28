package signer

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"strings"
	"testing"

	certificatesv1 "k8s.io/api/certificates/v1"

	"optimist/internal/api"
)

func TestJudge(t *testing.T) {
	for _, row := range []struct {
		name, user, groups string
		alive              bool
		want               certificatesv1.RequestConditionType // "" = left to people
	}{
		{"a machine with a token, for a name that nobody has", "system:bootstrap:abcdef", api.GroupBootstrappers, false, certificatesv1.CertificateApproved},
		{"a machine with a token, for the name of a node that lives", "system:bootstrap:abcdef", api.GroupBootstrappers, true, certificatesv1.CertificateDenied},
		{"the node itself", "system:node:n1", api.GroupNodes, true, certificatesv1.CertificateApproved},
		{"another node", "system:node:n2", api.GroupNodes, false, ""},
		{"who only bears a node's name", "system:node:n1", "", false, ""},
		{"an administrator", "kubernetes-admin", api.GroupMasters, false, ""},
	} {
		r := &request{Spec: certificatesv1.CertificateSigningRequestSpec{Username: row.user, Groups: []string{row.groups, "system:authenticated"}}}
		var got certificatesv1.RequestConditionType
		if c := judge(r, "n1", row.alive); c != nil {
			got = c.Type
		}
		if got != row.want {
			t.Errorf("%s: %q, want %q", row.name, got, row.want)
		}
	}
}

func TestWhatIsNoNodesRequest(t *testing.T) {
	for _, row := range []struct {
		name   string
		change func(*request, *x509.CertificateRequest)
		says   string // "" = it is one
	}{
		{"as the agent asks", func(*request, *x509.CertificateRequest) {}, ""},
		{"for enciphering keys, too", func(r *request, _ *x509.CertificateRequest) {
			r.Spec.Usages = append(r.Spec.Usages, certificatesv1.UsageKeyEncipherment)
		}, ""},
		{"a further group", func(_ *request, q *x509.CertificateRequest) {
			q.Subject.Organization = append(q.Subject.Organization, api.GroupMasters)
		}, "subject"},
		{"no node's name", func(_ *request, q *x509.CertificateRequest) { q.Subject.CommonName = "kubernetes-admin" }, "subject"},
		{"a name that no node may have", func(_ *request, q *x509.CertificateRequest) { q.Subject.CommonName = "system:node:A B" }, "subject"},
		{"a host's name, too", func(_ *request, q *x509.CertificateRequest) { q.DNSNames = []string{"kubernetes"} }, "further names"},
		{"to serve", func(r *request, _ *x509.CertificateRequest) {
			r.Spec.Usages = append(r.Spec.Usages, certificatesv1.UsageServerAuth)
		}, "usages"},
	} {
		r := &request{Spec: certificatesv1.CertificateSigningRequestSpec{Usages: []certificatesv1.KeyUsage{certificatesv1.UsageDigitalSignature, certificatesv1.UsageClientAuth}}}
		q := &x509.CertificateRequest{Subject: pkix.Name{CommonName: "system:node:n1", Organization: []string{api.GroupNodes}}}
		row.change(r, q)
		if got := notANode(r, q); (got == "") != (row.says == "") || !strings.Contains(got, row.says) {
			t.Errorf("%s: %q, want %q", row.name, got, row.says)
		}
	}
}

func TestWhoGetsAClientsCertificate(t *testing.T) {
	use := func(all ...certificatesv1.KeyUsage) []certificatesv1.KeyUsage { return all }
	for _, row := range []struct {
		subject pkix.Name
		usages  []certificatesv1.KeyUsage
		says    string
	}{
		{pkix.Name{CommonName: "alice", Organization: []string{"devs"}}, use(certificatesv1.UsageClientAuth), ""},
		{pkix.Name{CommonName: "alice"}, use(certificatesv1.UsageClientAuth, certificatesv1.UsageDigitalSignature, certificatesv1.UsageKeyEncipherment), ""},
		{pkix.Name{CommonName: "alice", Organization: []string{api.GroupMasters}}, use(certificatesv1.UsageClientAuth), "is not given"},
		{pkix.Name{}, use(certificatesv1.UsageClientAuth), "common name"},
		{pkix.Name{CommonName: "alice"}, use(certificatesv1.UsageClientAuth, certificatesv1.UsageServerAuth), "usages"},
		{pkix.Name{CommonName: "alice"}, use(certificatesv1.UsageDigitalSignature), "usages"},
	} {
		r := &request{Spec: certificatesv1.CertificateSigningRequestSpec{Usages: row.usages}}
		if got := notAClient(r, &x509.CertificateRequest{Subject: row.subject}); (got == "") != (row.says == "") || !strings.Contains(got, row.says) {
			t.Errorf("%v %v: %q, want %q", row.subject, row.usages, got, row.says)
		}
	}
}
