package signer

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"slices"
	"testing"

	certificatesv1 "k8s.io/api/certificates/v1"

	"optimist/internal/api"
	"optimist/internal/pki"
)

// FuzzRequest: whatever a request holds, what is signed is a client's certificate, nobody's who may do everything, without other names.
func FuzzRequest(f *testing.F) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range []pkix.Name{{CommonName: "system:node:n1", Organization: []string{api.GroupNodes}}, {CommonName: "bob", Organization: []string{"a", "b"}}, {CommonName: "x", Organization: []string{api.GroupMasters}}, {}} {
		der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: name}, key)
		if err != nil {
			f.Fatal(err)
		}
		for _, node := range []bool{false, true} {
			f.Add(node, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}), int32(3600))
		}
	}
	ca, err := pki.EnsureCA(f.TempDir())
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, node bool, text []byte, seconds int32) {
		block, _ := pem.Decode(text)
		if block == nil {
			return
		}
		req, err := x509.ParseCertificateRequest(block.Bytes)
		if err != nil {
			return
		}
		name := map[bool]string{true: certificatesv1.KubeAPIServerClientKubeletSignerName, false: certificatesv1.KubeAPIServerClientSignerName}[node]
		r := &request{Spec: certificatesv1.CertificateSigningRequestSpec{SignerName: name, Request: text, ExpirationSeconds: &seconds,
			Usages: []certificatesv1.KeyUsage{certificatesv1.UsageClientAuth, certificatesv1.UsageDigitalSignature}}}
		(&Signer{CA: ca}).sign(r, req, signers[name](r, req))
		if (len(r.Status.Certificate) > 0) == (len(r.Status.Conditions) > 0) {
			t.Fatalf("neither signed nor refused, or both: %+v", r.Status)
		}
		if len(r.Status.Certificate) == 0 {
			return
		}
		c, err := pki.ParseCert(r.Status.Certificate)
		if err != nil {
			t.Fatal(err)
		}
		if c.IsCA || slices.Contains(c.Subject.Organization, api.GroupMasters) || c.Subject.CommonName == "" || len(c.DNSNames)+len(c.IPAddresses)+len(c.URIs)+len(c.EmailAddresses) > 0 ||
			!slices.Equal(c.ExtKeyUsage, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}) || node && nodeOf(req) == "" {
			t.Errorf("signed: %+v", c)
		}
	})
}
