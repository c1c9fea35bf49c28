package apiserver

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"optimist/internal/api"
	"optimist/internal/client"
	"optimist/internal/pki"
)

// access is a server with a ServiceAccount that may view the namespace default: what a client of its CA needs, and a token.
func access(t *testing.T) (admin *client.Client, conf client.Config, token string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s, dir := startWith(t, Config{TokenKeys: []*ecdsa.PrivateKey{key}}, true)
	admin = connect(t, filepath.Join(dir, "admin.kubeconfig"))
	ctx := t.Context()
	if _, err := api.ServiceAccounts.Create(ctx, admin, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web"}}); err != nil {
		t.Fatal(err)
	}
	b := &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web"}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "view"},
		Subjects: []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: "default", Name: "web"}}}
	if _, err := api.RoleBindings.Create(ctx, admin, b); err != nil {
		t.Fatal(err)
	}
	r, err := admin.Write(ctx, api.ServiceAccounts.Request(api.VerbCreate, api.Key{Namespace: "default", Name: "web"}, "token", &authenticationv1.TokenRequest{}))
	if err != nil {
		t.Fatal(err)
	}
	ca, err := os.ReadFile(filepath.Join(dir, "ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	return admin, client.Config{Server: s.Listeners[0].Addr().String(), CA: ca}, r.Object.(*authenticationv1.TokenRequest).Status.Token
}

func dial(t *testing.T, c client.Config) *client.Client {
	t.Helper()
	one, err := client.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { one.Close() })
	return one
}

func TestAServiceAccountsTokenThroughTheNativeDoor(t *testing.T) {
	admin, conf, token := access(t)
	conf.Token = token
	web := dial(t, conf)
	eventually(t, func() bool { // the role view is filled a moment after the start
		_, err := api.Pods.List(t.Context(), web, "default", api.ListOptions{})
		return err == nil
	})
	if _, err := api.Secrets.List(t.Context(), web, "default", api.ListOptions{}); !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), `User "system:serviceaccount:default:web" cannot list resource "secrets"`) {
		t.Errorf("got %v", err)
	}
	who, err := api.SelfSubjectReviews.Create(t.Context(), web, &authenticationv1.SelfSubjectReview{})
	if err != nil || who.Status.UserInfo.Username != "system:serviceaccount:default:web" {
		t.Errorf("%+v, %v", who, err)
	}
	conf.As = api.User{Name: "alice"}
	if _, err := api.Pods.List(t.Context(), dial(t, conf), "default", api.ListOptions{}); !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), `cannot impersonate resource "users"`) {
		t.Errorf("got %v", err)
	}
	conf.As, conf.Token = api.User{}, token[:len(token)-8]+"AAAAAAAA"
	if _, err := api.Pods.List(t.Context(), dial(t, conf), "default", api.ListOptions{}); !apierrors.IsUnauthorized(err) {
		t.Errorf("a forged token: %v", err)
	}
	if err := api.ServiceAccounts.Delete(t.Context(), admin, api.Key{Namespace: "default", Name: "web"}, api.Options{}); err != nil {
		t.Fatal(err)
	}
	if _, err := api.Pods.List(t.Context(), web, "default", api.ListOptions{}); !apierrors.IsUnauthorized(err) {
		t.Errorf("with the account gone: %v", err)
	}
}

func TestATokenThroughTheDoorForHTTP(t *testing.T) {
	_, conf, token := access(t)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(conf.CA)
	h := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true}}
	defer h.CloseIdleConnections()
	ask := func(method, path, token, body string, headers ...string) (int, string) {
		r, err := http.NewRequestWithContext(t.Context(), method, "https://"+conf.Server+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if token != "" {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		r.Header.Set("Content-Type", "application/json")
		for i := 0; i < len(headers); i += 2 {
			r.Header.Add(headers[i], headers[i+1])
		}
		answer, err := h.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		text, _ := io.ReadAll(answer.Body)
		var s metav1.Status
		if json.Unmarshal(text, &s) == nil && s.Kind == "Status" {
			return answer.StatusCode, s.Message
		}
		return answer.StatusCode, string(text)
	}
	eventually(t, func() bool {
		code, _ := ask("GET", "/api/v1/namespaces/default/pods", token, "")
		version, _ := ask("GET", "/version", token, "")
		return code == 200 && version == 200
	})
	for _, row := range []struct {
		method, path, token, body string
		headers                   []string
		code                      int
		says                      string
	}{
		{"GET", "/healthz", "", "", nil, 200, ""},
		{"GET", "/version", "", "", nil, 403, `cannot get path "/version"`},
		{"GET", "/api", "", "", nil, 403, `forbidden: User "system:anonymous" cannot get path "/api"`},
		{"GET", "/api/v1/namespaces/default/pods", "", "", nil, 403, `pods is forbidden: User "system:anonymous" cannot list resource "pods" in API group "" in the namespace "default"`},
		{"GET", "/api/v1/namespaces/default/pods", "a.b.c", "", nil, 401, ""},
		{"GET", "/api/v1/namespaces/default/secrets", token, "", nil, 403, `secrets is forbidden: User "system:serviceaccount:default:web" cannot list resource "secrets" in API group "" in the namespace "default"`},
		{"GET", "/apis", token, "", nil, 200, ""},
		{"GET", "/openid/v1/jwks", token, "", nil, 200, `"kty":"EC"`},
		{"GET", "/.well-known/openid-configuration", token, "", nil, 200, `"issuer":"https://kubernetes.default.svc"`},
		{"GET", "/api/v1/namespaces/default/pods", token, "", []string{"Impersonate-User", "alice"}, 403, `users "alice" is forbidden: User "system:serviceaccount:default:web" cannot impersonate resource "users" in API group "" at the cluster scope`},
		{"POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", token, `{"kind": "SelfSubjectReview", "apiVersion": "authentication.k8s.io/v1"}`, nil, 201, "system:serviceaccounts:default"},
		{"POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", token, `{"kind": "SelfSubjectAccessReview", "apiVersion": "authorization.k8s.io/v1",
			"spec": {"resourceAttributes": {"verb": "get", "resource": "pods", "namespace": "default"}}}`, nil, 201, `RBAC: allowed by RoleBinding \"web/default\" of ClusterRole \"view\" to ServiceAccount \"web/default\"`},
		{"POST", "/api/v1/namespaces/default/serviceaccounts/web/token", token, `{"kind": "TokenRequest", "apiVersion": "authentication.k8s.io/v1", "spec": {"audiences": []}}`, nil, 403, `cannot create resource "serviceaccounts/token"`},
	} {
		if code, text := ask(row.method, row.path, row.token, row.body, row.headers...); code != row.code || !strings.Contains(text, row.says) {
			t.Errorf("%s %s %v:\ngot  %d %s\nwant %d %s", row.method, row.path, row.headers, code, text, row.code, row.says)
		}
	}
}

// A person asks for a certificate, an administrator approves it, and it opens the door.
func TestACertificateForAPerson(t *testing.T) {
	admin, conf, _ := access(t)
	ask := func(name string, subject pkix.Name) ([]byte, error) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: subject}, key)
		if err != nil {
			t.Fatal(err)
		}
		_, err = api.CertificateSigningRequests.Create(t.Context(), admin, &certificatesv1.CertificateSigningRequest{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: certificatesv1.CertificateSigningRequestSpec{
			SignerName: certificatesv1.KubeAPIServerClientSignerName, Usages: []certificatesv1.KeyUsage{certificatesv1.UsageClientAuth},
			Request: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})}})
		secret, _ := x509.MarshalECPrivateKey(key)
		return pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: secret}), err
	}
	want := `certificatesigningrequests.certificates.k8s.io "boss" is forbidden: use of kubernetes.io/kube-apiserver-client signer with system:masters group is not allowed`
	if _, err := ask("boss", pkix.Name{CommonName: "x", Organization: []string{api.GroupMasters}}); err == nil || err.Error() != want {
		t.Errorf("got %v", err)
	}
	key, err := ask("alice", pkix.Name{CommonName: "alice", Organization: []string{"devs"}})
	if err != nil {
		t.Fatal(err)
	}
	csr, err := api.CertificateSigningRequests.Get(t.Context(), admin, api.Key{Name: "alice"})
	if err != nil {
		t.Fatal(err)
	}
	csr.Status.Conditions = []certificatesv1.CertificateSigningRequestCondition{{Type: certificatesv1.CertificateApproved, Status: corev1.ConditionTrue, Reason: "x"}}
	if _, err := admin.Write(t.Context(), api.CertificateSigningRequests.Request(api.VerbUpdate, api.KeyOf(csr), "approval", csr)); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool {
		csr, err = api.CertificateSigningRequests.Get(t.Context(), admin, api.Key{Name: "alice"})
		return err == nil && len(csr.Status.Certificate) > 0
	})
	conf.Cert, conf.Key = csr.Status.Certificate, key
	who, err := api.SelfSubjectReviews.Create(t.Context(), dial(t, conf), &authenticationv1.SelfSubjectReview{})
	if err != nil || who.Status.UserInfo.Username != "alice" || strings.Join(who.Status.UserInfo.Groups, ",") != "devs,system:authenticated" {
		t.Errorf("%+v, %v", who, err)
	}
}

func TestTokenKeysAreMadeOnceAndRotate(t *testing.T) {
	dir := t.TempDir()
	first, err := pki.TokenKeys(dir)
	if err != nil {
		t.Fatal(err)
	}
	again, err := pki.TokenKeys(dir)
	info, _ := os.Stat(filepath.Join(dir, "sa.key"))
	if err != nil || len(again) != 1 || !again[0].Equal(first[0]) || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v %v", again, info.Mode(), err)
	}
	if err := os.Rename(filepath.Join(dir, "sa.key"), filepath.Join(dir, "sa.old.key")); err != nil {
		t.Fatal(err)
	}
	rotated, err := pki.TokenKeys(dir)
	if err != nil || len(rotated) != 2 || rotated[0].Equal(first[0]) || !rotated[1].Equal(first[0]) {
		t.Errorf("%v %v", rotated, err)
	}
	if err := os.WriteFile(filepath.Join(dir, "sa.key"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := pki.TokenKeys(dir); err == nil || !strings.Contains(err.Error(), filepath.Join(dir, "sa.key")+" is no ECDSA key") {
		t.Errorf("got %v", err)
	}
}
