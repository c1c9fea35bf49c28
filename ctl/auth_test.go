package ctl_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"strings"
	"testing"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"optimist/apiserver"
	"optimist/apiserver/store/memory"
	"optimist/ctl"
	"optimist/internal/api"
)

// What kubectl v1.37 prints for the same, byte by byte.
func TestAuthPrintsAsKubectlDoes(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	store := memory.New()
	s, err := apiserver.New(apiserver.Config{Store: store, TokenKeys: []*ecdsa.PrivateKey{key}, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done; store.Close() })
	admin := s.Service(api.User{Name: "kubernetes-admin", Groups: []string{api.GroupMasters, "system:authenticated"}})
	alice := s.Service(api.User{Name: "alice", UID: "7", Groups: []string{"devs", "system:authenticated"}, Extra: map[string][]string{"scopes": {"a", "b"}}})
	must := func(_ any, err error) {
		if err != nil {
			t.Helper()
			t.Fatal(err)
		}
	}
	until := time.Now().Add(10 * time.Second)
	for { // the namespace default, and the roles that every cluster has
		_, errNS := api.Namespaces.Get(ctx, admin, api.Key{Name: "default"})
		_, errRole := api.ClusterRoleBindings.Get(ctx, admin, api.Key{Name: "system:service-account-issuer-discovery"})
		if errNS == nil && errRole == nil {
			break
		}
		if time.Now().After(until) {
			t.Fatal(errNS, errRole)
		}
		time.Sleep(time.Millisecond)
	}
	meta := metav1.ObjectMeta{Namespace: "default", Name: "r"}
	must(api.ServiceAccounts.Create(ctx, admin, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web"}}))
	must(api.Roles.Create(ctx, admin, &rbacv1.Role{ObjectMeta: meta, Rules: []rbacv1.PolicyRule{{APIGroups: []string{"", "apps"}, Resources: []string{"pods", "deployments/scale"}, Verbs: []string{"list", "get"}},
		{APIGroups: []string{""}, Resources: []string{"configmaps"}, ResourceNames: []string{"one", "two"}, Verbs: []string{"get"}}}}))
	must(api.RoleBindings.Create(ctx, admin, &rbacv1.RoleBinding{ObjectMeta: meta, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "r"}, Subjects: []rbacv1.Subject{{Kind: "User", APIGroup: rbacv1.GroupName, Name: "alice"}}}))
	for _, name := range []string{"good", "bad"} {
		der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: name}}, key)
		must(nil, err)
		must(api.CertificateSigningRequests.Create(ctx, admin, &certificatesv1.CertificateSigningRequest{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: certificatesv1.CertificateSigningRequestSpec{
			SignerName: "a.b/c", Usages: []certificatesv1.KeyUsage{certificatesv1.UsageClientAuth}, Request: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})}}))
	}
	for _, row := range []struct {
		who            api.Service
		line           string
		code           int
		stdout, stderr string
	}{
		{alice, "auth whoami", 0, "ATTRIBUTE       VALUE\nUsername        alice\nUID             7\nGroups          [devs system:authenticated]\nExtra: scopes   [a b]\n", ""},
		{alice, "auth whoami -o jsonpath={.status.userInfo.username}", 0, "alice", ""},
		{alice, "auth can-i list pods", 0, "yes\n", ""},
		{alice, "auth can-i list pods -q", 0, "", ""},
		{alice, "auth can-i list secrets", 1, "no\n", ""},
		{alice, "auth can-i list secrets -q", 1, "", ""},
		{alice, "auth can-i list pods -A", 1, "no\n", ""},
		{alice, "auth can-i get cm/one", 0, "yes\n", ""},
		{alice, "auth can-i get cm/three", 1, "no\n", ""},
		{alice, "auth can-i get deploy --subresource=scale", 0, "yes\n", ""},
		{alice, "auth can-i get /api", 0, "yes\n", ""},
		{alice, "auth can-i get /metrics", 1, "no\n", ""},
		{alice, "auth can-i twist nodes", 1, "no\n", "Warning: resource 'nodes' is not namespace scoped\n\nWarning: verb 'twist' is not a known verb\n\n"},
		{alice, "auth can-i get things", 1, "no\n", "Warning: the server doesn't have a resource type 'things'\n\n"},
		{admin, "auth can-i * *", 0, "yes\n", ""},
		{alice, "auth can-i get", 1, "", "error: you must specify two arguments: verb resource or verb resource/resourceName.\nSee 'ctl auth can-i -h' for help and examples.\n"},
		{alice, "auth can-i --list pods", 1, "", "error: list option must be specified with no arguments\n"},
		{alice, "auth can-i --list", 0, `Resources                                       Non-Resource URLs   Resource Names   Verbs
selfsubjectreviews.authentication.k8s.io        []                  []               [create]
selfsubjectaccessreviews.authorization.k8s.io   []                  []               [create]
selfsubjectrulesreviews.authorization.k8s.io    []                  []               [create]
                                                [/api/*]            []               [get]
                                                [/api]              []               [get]
                                                [/apis/*]           []               [get]
                                                [/apis]             []               [get]
                                                [/healthz]          []               [get]
                                                [/healthz]          []               [get]
                                                [/livez]            []               [get]
                                                [/livez]            []               [get]
                                                [/openapi/*]        []               [get]
                                                [/openapi]          []               [get]
                                                [/readyz]           []               [get]
                                                [/readyz]           []               [get]
                                                [/version/]         []               [get]
                                                [/version/]         []               [get]
                                                [/version]          []               [get]
                                                [/version]          []               [get]
configmaps                                      []                  [one]            [get]
configmaps                                      []                  [two]            [get]
deployments/scale                               []                  []               [list get]
pods                                            []                  []               [list get]
deployments.apps/scale                          []                  []               [list get]
pods.apps                                       []                  []               [list get]
`, ""},
		{admin, "certificate approve good", 0, "certificatesigningrequest.certificates.k8s.io/good approved\n", ""},
		{admin, "certificate approve csr/good", 0, "certificatesigningrequest.certificates.k8s.io/good approved\n", ""},
		{admin, "certificate deny good", 1, "", "error: certificate signing request \"good\" is already Approved\n"},
		{admin, "certificate deny bad", 0, "certificatesigningrequest.certificates.k8s.io/bad denied\n", ""},
		{admin, "certificate approve none", 1, "", "Error from server (NotFound): certificatesigningrequests.certificates.k8s.io \"none\" not found\n"},
		{admin, "create token web --duration 1.5s", 1, "", "error: --duration cannot be expressed in units less than seconds\n"},
		{admin, "create token none", 1, "", "error: failed to create token: serviceaccounts \"none\" not found\n"},
		{admin, "create token web --duration 1m", 1, "", "error: failed to create token: TokenRequest.authentication.k8s.io \"web\" is invalid: spec.expirationSeconds: Invalid value: 60: may not specify a duration less than 10 minutes\n"},
		{admin, "create token web --bound-object-name x", 1, "", "error: --bound-object-name can only be set if --bound-object-kind is provided\n"},
		{alice, "create token web", 1, "", "error: failed to create token: serviceaccounts/token \"web\" is forbidden: User \"alice\" cannot create resource \"serviceaccounts/token\" in API group \"\" in the namespace \"default\"\n"},
		{admin, "create token web -o jsonpath={.spec.expirationSeconds}", 0, "3600", ""},
	} {
		var out, errs bytes.Buffer
		root := ctl.Over(row.who)
		root.SetOut(&out)
		root.SetErr(&errs)
		code := ctl.Run(ctx, root, strings.Fields(row.line))
		if code != row.code || out.String() != row.stdout || errs.String() != row.stderr {
			t.Errorf("ctl %s: %d\n%s---\n%s\nwant %d\n%s---\n%s", row.line, code, &out, &errs, row.code, row.stdout, row.stderr)
		}
	}
	var out bytes.Buffer
	root := ctl.Over(admin)
	root.SetOut(&out)
	if code := ctl.Run(ctx, root, strings.Fields("create token web")); code != 0 || strings.Count(out.String(), ".") != 2 || strings.Contains(out.String(), "\n") {
		t.Errorf("%d %q", code, &out)
	}
}
