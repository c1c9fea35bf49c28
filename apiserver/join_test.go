package apiserver

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"optimist/internal/api"
	"optimist/internal/client"
	"optimist/internal/pki"
)

const token = "abcdef.0123456789abcdef"

// joinable is a server with a token, and its CA's hash.
func joinable(t *testing.T) (admin api.Service, server, dir, hash string) {
	t.Helper()
	s, dir := start(t, nil)
	c := connect(t, filepath.Join(dir, "admin.kubeconfig"))
	secret := &corev1.Secret{Type: corev1.SecretTypeBootstrapToken, ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "bootstrap-token-abcdef"},
		StringData: map[string]string{"token-id": token[:6], "token-secret": token[7:], "usage-bootstrap-authentication": "true"}}
	if _, err := api.Secrets.Create(t.Context(), c, secret); err != nil {
		t.Fatal(err)
	}
	ca, err := pki.EnsureCA(dir)
	if err != nil {
		t.Fatal(err)
	}
	return c, s.Listeners[0].Addr().String(), dir, pki.Hash(ca.Cert)
}

// withToken is a client of somebody who has but a token.
func withToken(t *testing.T, server, hash, token string) *client.Client {
	t.Helper()
	ca, err := client.Pinned(t.Context(), server, hash)
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.New(client.Config{Server: server, CA: ca, Token: token})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestATokenBecomesANode(t *testing.T) {
	admin, server, dir, hash := joinable(t)
	boot := withToken(t, server, hash, token)
	if _, err := api.Nodes.List(t.Context(), boot, "", api.ListOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("with a token one sees nodes: %v", err)
	}
	if _, err := boot.Now(t.Context()); !apierrors.IsForbidden(err) {
		t.Errorf("with a token one asks for the revision: %v", err)
	}
	var info *corev1.ConfigMap
	var err error
	eventually(t, func() bool {
		info, err = api.ConfigMaps.Get(t.Context(), boot, api.Key{Namespace: "kube-public", Name: "cluster-info"})
		return !apierrors.IsNotFound(err)
	})
	if err != nil || info.Data["name"] != "test" || info.Data["clusterCIDR"] != "10.244.0.0/16" || info.Data["serviceCIDR"] != "10.96.0.0/16" || info.Data["server"] != "elsewhere:1" {
		t.Errorf("%+v, %v", info, err)
	}
	cert, key, err := pki.RequestNode(t.Context(), boot, "new")
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := pki.ParseCert(cert)
	if err != nil || leaf.Subject.String() != "CN=system:node:new,O=system:nodes" || time.Until(leaf.NotAfter) < 364*24*time.Hour {
		t.Errorf("%+v, %v", leaf, err)
	}
	ca, _ := os.ReadFile(filepath.Join(dir, "ca.crt"))
	path := filepath.Join(t.TempDir(), "node.kubeconfig")
	if err := (pki.Access{Context: "test", User: "system:node:new", Server: server, CA: ca, Cert: cert, Key: key}).Write(path); err != nil {
		t.Fatal(err)
	}
	node := connect(t, path)
	if _, err := api.Nodes.Create(t.Context(), node, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "new"}}); err != nil {
		t.Error(err)
	}

	// The name is taken while the node lives; afterwards a machine may come back with it.
	lease := func(age time.Duration) *coordinationv1.Lease {
		name, now, seconds := "new", metav1.NewMicroTime(time.Now().Add(-age)), int32(40)
		return &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-node-lease", Name: name}, Spec: coordinationv1.LeaseSpec{HolderIdentity: &name, RenewTime: &now, LeaseDurationSeconds: &seconds}}
	}
	if _, err := api.Leases.Create(t.Context(), node, lease(0)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := pki.RequestNode(t.Context(), boot, "new"); err == nil || !strings.Contains(err.Error(), `node "new" is there and alive: choose another name`) {
		t.Errorf("a second machine of the name: %v", err)
	}
	if err := renewed(t, node, path); err != nil {
		t.Errorf("the node itself: %v", err)
	}
	if _, _, err := pki.RequestNode(short(t), node, "other"); err == nil {
		t.Error("a node got another's certificate")
	}
	if _, err := api.Leases.Update(t.Context(), node, lease(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := pki.RequestNode(t.Context(), boot, "new"); err != nil {
		t.Errorf("silent for a minute: %v", err)
	}
	all, err := api.CertificateSigningRequests.List(t.Context(), admin, "", api.ListOptions{})
	for _, r := range all {
		if r.Spec.Username != "system:bootstrap:abcdef" && r.Spec.Username != "system:node:new" {
			t.Errorf("asked for by %q", r.Spec.Username)
		}
	}
	if len(all) < 5 || err != nil {
		t.Error(len(all), err)
	}
}

// renewed is RenewNode with a certificate that is old enough.
func renewed(t *testing.T, node api.Service, path string) error {
	t.Helper()
	before, err := pki.LoadKubeconfig(path, "")
	if err != nil {
		t.Fatal(err)
	}
	authority, err := pki.EnsureCA(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	old := before
	if old.Cert, old.Key, err = authority.Issue(pki.Subject{Name: "system:node:new"}, nil, 6*time.Second); err != nil {
		t.Fatal(err)
	}
	if err := old.Write(path); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- pki.RenewNode(ctx, node, path, "new", slog.New(slog.DiscardHandler)) }()
	after := old
	eventually(t, func() bool {
		after, err = pki.LoadKubeconfig(path, "")
		return string(after.Cert) != string(old.Cert)
	})
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("renewals end with %v", err)
	}
	if err == nil && (string(after.Key) == string(old.Key) || string(after.Cert) == string(before.Cert) || string(after.CA) != string(before.CA) || after.Server != before.Server) {
		t.Error("the kubeconfig is not renewed")
	}
	return err
}

func TestWhoDoesNotGetIn(t *testing.T) {
	_, server, _, hash := joinable(t)
	if _, err := client.Pinned(t.Context(), server, "sha256:00"); err == nil || !strings.Contains(err.Error(), "shows "+hash+", not sha256:00") || !strings.Contains(err.Error(), "The token was not sent") {
		t.Errorf("another CA: %v", err)
	}
	if _, _, err := pki.RequestNode(t.Context(), withToken(t, server, hash, "abcdef.wrong"), "x"); !apierrors.IsUnauthorized(errors.Unwrap(err)) {
		t.Errorf("a wrong token: %v", err)
	}
	// Who has only the CA's certificate, which is no secret, cannot pass for the server.
	ca, err := client.Pinned(t.Context(), server, hash)
	if err != nil {
		t.Fatal(err)
	}
	root, _ := pki.ParseCert(ca)
	other, err := pki.EnsureCA(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	certPEM, keyPEM, err := other.Issue(pki.Subject{Name: "system:apiserver"}, []string{"127.0.0.1"}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		t.Fatal(err)
	}
	pair.Certificate = append(pair.Certificate, root.Raw)
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{pair}, NextProtos: []string{"optimist-grpc"}})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	heard := make(chan int, 1000)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func(c net.Conn) {
				defer c.Close()
				n, _ := c.Read(make([]byte, 1)) // after the handshake, if that succeeds
				heard <- n
			}(c)
		}
	}()
	stolen := withToken(t, l.Addr().String(), hash, token)
	if _, err := stolen.Get(t.Context(), api.Target{Kind: api.ConfigMapKind, Key: api.Key{Namespace: "kube-public", Name: "cluster-info"}}, api.GetOptions{}); err == nil || !strings.Contains(err.Error(), "another cluster's authority") {
		t.Errorf("a man in between: %v", err)
	}
	for range 2 { // connections: that which looked at the CA, and that which would have shown the token
		if n := <-heard; n > 0 {
			t.Error("something was sent to the man in between")
		}
	}
}

func short(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	t.Cleanup(cancel)
	return ctx
}

func eventually(t *testing.T, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("not within ten seconds")
		}
	}
}

func await(t *testing.T, svc api.Service, name string, ok func(*certificatesv1.CertificateSigningRequest) bool) (r *certificatesv1.CertificateSigningRequest) {
	t.Helper()
	eventually(t, func() (yes bool) {
		var err error
		r, err = api.CertificateSigningRequests.Get(t.Context(), svc, api.Key{Name: name})
		return err == nil && ok(r)
	})
	return r
}

// What people ask for stays Pending until a person approves it; what then is no node's request fails.
func TestRequestsOfOthers(t *testing.T) {
	admin, _, _, _ := joinable(t)
	if _, _, err := pki.RequestNode(short(t), admin, "x"); err == nil || !strings.Contains(err.Error(), "nobody has answered") {
		t.Fatalf("an administrator's own: %v", err)
	}
	all, err := api.CertificateSigningRequests.List(t.Context(), admin, "", api.ListOptions{})
	if err != nil || len(all) != 1 || len(all[0].Status.Conditions) > 0 {
		t.Fatalf("%+v, %v", all, err)
	}
	approve := func(r *certificatesv1.CertificateSigningRequest, sub string) (api.Result, error) {
		r = r.DeepCopy()
		r.Status.Conditions = append(r.Status.Conditions, certificatesv1.CertificateSigningRequestCondition{Type: certificatesv1.CertificateApproved, Status: corev1.ConditionTrue, Reason: "ByHand"})
		return admin.Write(t.Context(), api.CertificateSigningRequests.Request(api.VerbUpdate, api.KeyOf(r), sub, r))
	}
	if _, err := approve(all[0], "status"); !apierrors.IsInvalid(err) {
		t.Errorf("approved by way of the status: %v", err)
	}
	if _, err := approve(all[0], "approval"); err != nil {
		t.Fatal(err)
	}
	await(t, admin, all[0].Name, func(r *certificatesv1.CertificateSigningRequest) bool { return len(r.Status.Certificate) > 0 })
	bad := all[0].DeepCopy()
	bad.ObjectMeta, bad.Spec.Usages = metav1.ObjectMeta{Name: "bad"}, []certificatesv1.KeyUsage{certificatesv1.UsageServerAuth}
	if bad, err = api.CertificateSigningRequests.Create(t.Context(), admin, bad); err != nil {
		t.Fatal(err)
	}
	if _, err := approve(bad, "approval"); err != nil {
		t.Fatal(err)
	}
	r := await(t, admin, "bad", func(r *certificatesv1.CertificateSigningRequest) bool { return len(r.Status.Conditions) == 2 })
	if c := r.Status.Conditions[1]; c.Type != certificatesv1.CertificateFailed || !strings.Contains(c.Message, "the usages must be") || c.LastUpdateTime.IsZero() {
		t.Errorf("%+v", c)
	}
}
