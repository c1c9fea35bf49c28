package pki

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"log/slog"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"optimist/internal/api"
	"optimist/internal/wake"
)

// RequestNode asks the API server for a certificate of system:node:<node>, and waits for the answer as long as ctx lasts. The key is made here.
func RequestNode(ctx context.Context, svc api.Service, node string) (certPEM, keyPEM []byte, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	subject := pkix.Name{CommonName: api.NodePrefix + node, Organization: []string{api.GroupNodes}}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: subject}, key)
	if err == nil {
		keyPEM, err = encodeKey(key)
	}
	if err != nil {
		return nil, nil, err
	}
	csr, err := api.CertificateSigningRequests.Create(ctx, svc, &certificatesv1.CertificateSigningRequest{ObjectMeta: metav1.ObjectMeta{GenerateName: "node-csr-"},
		Spec: certificatesv1.CertificateSigningRequestSpec{Request: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}),
			SignerName: certificatesv1.KubeAPIServerClientKubeletSignerName, Usages: []certificatesv1.KeyUsage{certificatesv1.UsageDigitalSignature, certificatesv1.UsageClientAuth}}})
	for ; err == nil && len(csr.Status.Certificate) == 0; csr, err = api.CertificateSigningRequests.Get(ctx, svc, api.KeyOf(csr)) {
		for _, c := range csr.Status.Conditions {
			if c.Type != certificatesv1.CertificateApproved {
				return nil, nil, fmt.Errorf("the cluster gives no certificate (%s): %s", c.Type, c.Message)
			}
		}
		_ = wake.After(ctx, 50*time.Millisecond, nil) // should ctx have ended, the next question says so
	}
	if err != nil && ctx.Err() != nil {
		return nil, nil, fmt.Errorf("nobody has answered the request for a certificate (ctl get csr): %w", err)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("ask for a certificate: %w", err)
	}
	return csr.Status.Certificate, keyPEM, nil
}

// RenewNode replaces a node's certificate and its key in the kubeconfig whenever two thirds of its life are over, until ctx ends. Package client
// shows the new one from the next connection on.
func RenewNode(ctx context.Context, svc api.Service, path, node string, log *slog.Logger) error {
	for {
		a, err := LoadKubeconfig(path, "")
		if err != nil {
			return err
		}
		pair, err := tls.X509KeyPair(a.Cert, a.Key)
		if err != nil {
			return err
		}
		due := Due(pair.Leaf)
		if wake.After(ctx, min(max(time.Until(due), time.Second), time.Hour), nil) != nil { // timers stand still while a machine sleeps
			return nil
		}
		if time.Now().Before(due) {
			continue
		}
		if err = a.renew(ctx, svc, path, node); err == nil {
			log.Info("the node's certificate is renewed", "node", node)
			continue
		}
		log.Warn("cannot renew the node's certificate; trying again", "node", node, "err", err)
		if wake.After(ctx, time.Minute, nil) != nil {
			return nil
		}
	}
}

func (a Access) renew(ctx context.Context, svc api.Service, path, node string) (err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if a.Cert, a.Key, err = RequestNode(ctx, svc, node); err != nil {
		return err
	}
	return a.Write(path)
}

// Write makes a kubeconfig of it.
func (a Access) Write(path string) error {
	data, err := a.Kubeconfig()
	if err != nil {
		return err
	}
	return WriteFile(path, data)
}
