package auth

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	"optimist/internal/api"
)

var somewhere = &net.TCPAddr{IP: net.IPv4(10, 2, 0, 1), Port: 1}

// tokens is a gateway in which ServiceAccount "web" and pods of it exist: p1 on n1, p2 on n2, and waits on no node.
func tokens(t *testing.T) *Gate {
	t.Helper()
	g := gateway(t)
	err := put(t, g, boss, `{apiVersion: v1, kind: ServiceAccount, metadata: {name: web, namespace: default}}
---
{apiVersion: v1, kind: ServiceAccount, metadata: {name: other, namespace: default}}
---
{apiVersion: v1, kind: Pod, metadata: {name: p1, namespace: default}, spec: {serviceAccountName: web, nodeName: n1, containers: [{name: c, image: x}],
  volumes: [{name: t, projected: {sources: [{serviceAccountToken: {path: token}}, {serviceAccountToken: {path: vault, audience: vault}}]}}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: p2, namespace: default}, spec: {serviceAccountName: web, nodeName: n2, containers: [{name: c, image: x}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: waits, namespace: default}, spec: {serviceAccountName: web, containers: [{name: c, image: x}]}}`)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func request(t *testing.T, g *Gate, u api.User, account, spec string) (*authenticationv1.TokenRequest, []string, error) {
	t.Helper()
	r := api.ServiceAccounts.Request(api.VerbCreate, api.Key{Namespace: "default", Name: account}, "token", nil)
	r.Raw = &api.Raw{MediaType: "application/json", Data: []byte(`{"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", ` + spec + `}`)}
	done, err := g.Write(api.WithUser(t.Context(), u), r)
	if err != nil {
		return nil, nil, err
	}
	return done.Object.(*authenticationv1.TokenRequest), done.Warnings, nil
}

func uid(t *testing.T, g *Gate, k *api.Kind, name string) types.UID {
	t.Helper()
	key := api.Key{Name: name}
	if k.Namespaced {
		key.Namespace = "default"
	}
	r, err := g.next.Get(t.Context(), api.Target{Kind: k, Key: key}, api.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return r.Object.GetUID()
}

func TestTokenRequests(t *testing.T) {
	g := tokens(t)
	pod := string(uid(t, g, api.PodKind, "p1"))
	for _, row := range []struct{ spec, says string }{
		{`"spec": {}`, ""}, {`"spec": {"expirationSeconds": 600}`, ""},
		{`"spec": {"expirationSeconds": 599}`, `TokenRequest.authentication.k8s.io "web" is invalid: spec.expirationSeconds: Invalid value: 599: may not specify a duration less than 10 minutes`},
		{`"spec": {"expirationSeconds": 5000000000}`, "may not specify a duration larger than 2^32 seconds"},
		{`"metadata": {"name": "x"}`, `metadata.name: Invalid value: "x": must match the service account name if specified`},
		{`"metadata": {"namespace": "x"}`, `must match the service account namespace if specified`},
		{`"metadata": {"uid": "x"}`, "the UID in the token request (x) does not match the UID of the service account"},
		{`"spec": {"boundObjectRef": {"kind": "Pod", "apiVersion": "v1", "name": "p1"}}`, ""},
		{`"spec": {"boundObjectRef": {"kind": "Pod", "apiVersion": "v1", "name": "p1", "uid": "` + pod + `"}}`, ""},
		{`"spec": {"boundObjectRef": {"kind": "Pod", "apiVersion": "v1", "name": "p1", "uid": "x"}}`, "the UID in the bound object reference (x) does not match the UID in record. The object might have been deleted and then recreated"},
		{`"spec": {"boundObjectRef": {"kind": "Pod", "apiVersion": "v1", "name": "none"}}`, `pods "none" not found`},
		{`"spec": {"boundObjectRef": {"kind": "Pod", "apiVersion": "v1", "name": "a"}}`, `cannot bind token for serviceaccount "web" to pod running with different serviceaccount name.`},
		{`"spec": {"boundObjectRef": {"kind": "Secret", "apiVersion": "v1", "name": "of-a"}}`, ""},
		{`"spec": {"boundObjectRef": {"kind": "Node", "apiVersion": "v1", "name": "n1"}}`, ""},
		{`"spec": {"boundObjectRef": {"kind": "ConfigMap", "apiVersion": "v1", "name": "x"}}`, "cannot bind token to object of type /v1, Kind=ConfigMap"},
		{`"spec": {"audience": "x"}`, `unknown field "spec.audience"`},
	} {
		q, _, err := request(t, g, boss, "web", row.spec)
		if (err == nil) != (row.says == "") || err != nil && !strings.Contains(err.Error(), row.says) {
			t.Errorf("%s\ngot  %v\nwant %s", row.spec, err, row.says)
		}
		if err == nil && (q.Name != "web" || q.Namespace != "default" || q.Status.Token == "" || q.Kind != "TokenRequest" || len(q.Spec.Audiences) != 1) {
			t.Errorf("%s: %+v", row.spec, q)
		}
	}
	if _, _, err := request(t, g, boss, "none", `"spec": {}`); !apierrors.IsNotFound(err) {
		t.Errorf("of an account that is not there: %v", err)
	}
	if _, _, err := request(t, g, person("bob"), "web", `"spec": {}`); !apierrors.IsForbidden(err) {
		t.Errorf("bob: %v", err)
	}
	q, warnings, err := request(t, g, boss, "web", `"spec": {"expirationSeconds": 100000000}`)
	if err != nil || *q.Spec.ExpirationSeconds != maxLife || len(warnings) != 1 || warnings[0] != "requested expiration of 100000000 seconds shortened to 31536000 seconds" {
		t.Errorf("%+v %v %v", q, warnings, err)
	}
}

// A node has tokens of its pods alone, bound to them.
func TestTokensForNodes(t *testing.T) {
	g := tokens(t)
	n1 := api.User{Name: "system:node:n1", Groups: []string{api.GroupNodes, authenticated}}
	to := func(pod string) string {
		return `"spec": {"boundObjectRef": {"kind": "Pod", "apiVersion": "v1", "name": "` + pod + `", "uid": "` + string(uid(t, g, api.PodKind, pod)) + `"}}`
	}
	for _, row := range []struct{ account, spec, says string }{
		{"web", to("p1"), ""},
		{"web", strings.Replace(to("p1"), "{", `{"audiences": ["vault"], `, 1), ""},
		{"web", strings.Replace(to("p1"), "{", `{"audiences": ["bank"], `, 1), `serviceaccounts "web" is forbidden: system:node:n1 is not authorized to request tokens for audience "bank"`},
		{"web", strings.Replace(to("p1"), "{", `{"audiences": ["vault", "https://kubernetes.default.svc"], `, 1), "is not authorized to request tokens for audience"},
		{"web", to("p2"), `serviceaccounts "web" is forbidden: node requested token bound to a pod scheduled on a different node`},
		{"web", to("waits"), `node requested token bound to a pod scheduled on a different node`},
		{"web", `"spec": {}`, "node requested token not bound to a pod"},
		{"web", `"spec": {"boundObjectRef": {"kind": "Node", "apiVersion": "v1", "name": "n1"}}`, "node requested token not bound to a pod"},
		{"web", `"spec": {"boundObjectRef": {"kind": "Pod", "apiVersion": "v1", "name": "p1"}}`, "node requested token with a pod binding without a uid"},
		{"other", to("p1"), `serviceaccounts/token "other" is forbidden: User "system:node:n1" cannot create resource "serviceaccounts/token" in API group "" in the namespace "default": no relationship found between node 'n1' and this object`},
	} {
		_, _, err := request(t, g, n1, row.account, row.spec)
		if (err == nil) != (row.says == "") || err != nil && !strings.Contains(err.Error(), row.says) {
			t.Errorf("%s %s\ngot  %v\nwant %s", row.account, row.spec, err, row.says)
		}
	}
	node := api.WithUser(t.Context(), n1)
	if _, err := api.ServiceAccounts.Get(node, g, api.Key{Namespace: "default", Name: "web"}); err != nil {
		t.Error(err)
	}
	if _, err := api.ServiceAccounts.Get(node, g, api.Key{Namespace: "default", Name: "other"}); !apierrors.IsForbidden(err) {
		t.Errorf("got %v", err)
	}
}

func TestTokensOfServiceAccounts(t *testing.T) {
	g := tokens(t)
	q, _, err := request(t, g, boss, "web", `"spec": {"expirationSeconds": 3607, "boundObjectRef": {"kind": "Pod", "apiVersion": "v1", "name": "p1"}}`)
	if err != nil {
		t.Fatal(err)
	}
	token := q.Status.Token
	u, err := g.Token(t.Context(), somewhere, token)
	if err != nil || u.Name != "system:serviceaccount:default:web" || u.UID != string(uid(t, g, api.ServiceAccountKind, "web")) ||
		strings.Join(u.Groups, ",") != "system:serviceaccounts,system:serviceaccounts:default,system:authenticated" ||
		u.Extra["authentication.kubernetes.io/pod-name"][0] != "p1" || u.Extra["authentication.kubernetes.io/node-name"][0] != "n1" ||
		!strings.HasPrefix(u.Extra["authentication.kubernetes.io/credential-id"][0], "JTI=") {
		t.Errorf("%+v, %v", u, err)
	}
	c, err := verify(g.tokens.keys, token)
	if life := c.Expires - c.Issued; err != nil || life != maxLife || c.Kubernetes.WarnAfter != c.Issued+projectedLife || time.Until(q.Status.ExpirationTimestamp.Time) > projectedLife*time.Second {
		t.Errorf("%+v, %v", c, err)
	}

	// What is wrong with it is told to who reviews it.
	review := func(token string, audiences ...string) authenticationv1.TokenReviewStatus {
		r, err := api.TokenReviews.Create(api.WithUser(t.Context(), boss), g, &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: token, Audiences: audiences}})
		if err != nil {
			t.Fatal(err)
		}
		return r.Status
	}
	if s := review(token); !s.Authenticated || s.User.Username != u.Name || len(s.Audiences) != 1 || s.User.Extra["authentication.kubernetes.io/pod-uid"][0] == "" {
		t.Errorf("%+v", s)
	}
	if s := review(token, "https://elsewhere"); s.Authenticated || s.Error != `token audiences ["https://kubernetes.default.svc"] is invalid for the target audiences ["https://elsewhere"]` {
		t.Errorf("%+v", s)
	}
	vault, _, err := request(t, g, boss, "web", `"spec": {"audiences": ["vault", "x"]}`)
	if err != nil {
		t.Fatal(err)
	}
	if s := review(vault.Status.Token, "vault", "y"); !s.Authenticated || strings.Join(s.Audiences, ",") != "vault" {
		t.Errorf("%+v", s)
	}
	if _, err := g.Token(t.Context(), somewhere, vault.Status.Token); !apierrors.IsUnauthorized(err) {
		t.Errorf("for others alone: %v", err)
	}

	sign := func(change func(*claims)) string {
		c := c
		change(&c)
		text, err := g.tokens.keys[0].sign(c)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	for what, bad := range map[string]struct {
		token, says string
	}{
		"expired":             {sign(func(c *claims) { c.Expires = time.Now().Unix() - 1 }), "service account token has expired"},
		"not yet valid":       {sign(func(c *claims) { c.NotBefore = time.Now().Unix() + 120 }), "service account token is not valid yet"},
		"another issuer":      {sign(func(c *claims) { c.Issuer = "https://x" }), errForged.Error()},
		"another subject":     {sign(func(c *claims) { c.Subject = "system:serviceaccount:kube-system:web" }), errForged.Error()},
		"another account":     {sign(func(c *claims) { c.Kubernetes.Account.UID = "x" }), errGone.Error()},
		"another pod":         {sign(func(c *claims) { p := *c.Kubernetes.Pod; p.UID = "x"; c.Kubernetes.Pod = &p }), errGone.Error()},
		"a secret":            {sign(func(c *claims) { c.Kubernetes.Secret = &reference{"none", "x"} }), errGone.Error()},
		"a changed payload":   {strings.Replace(token, ".", ".e", 1), errForged.Error()},
		"a changed end":       {token[:len(token)-4] + "AAAA", errForged.Error()},
		"a namespace's trick": {sign(func(c *claims) { c.Kubernetes.Namespace = "../x" }), errForged.Error()},
	} {
		if s := review(bad.token); s.Authenticated || s.Error != bad.says {
			t.Errorf("%s: %+v", what, s)
		}
		if _, err := g.Token(t.Context(), somewhere, bad.token); !apierrors.IsUnauthorized(err) && !apierrors.IsTooManyRequests(err) {
			t.Errorf("%s: %v", what, err)
		}
	}

	// A pod's token is good while the pod is being deleted, and no longer than it.
	now, hour := int64(0), int64(3600)
	if err := api.Pods.Delete(api.WithUser(t.Context(), boss), g, api.Key{Namespace: "default", Name: "p1"}, api.Options{Grace: &hour}); err != nil {
		t.Fatal(err)
	}
	if _, err := g.Token(t.Context(), somewhere, token); err != nil {
		t.Errorf("the pod is being deleted: %v", err)
	}
	if err := api.Pods.Delete(api.WithUser(t.Context(), boss), g, api.Key{Namespace: "default", Name: "p1"}, api.Options{Grace: &now}); err != nil {
		t.Fatal(err)
	}
	if _, err := g.Token(t.Context(), somewhere, token); !apierrors.IsUnauthorized(err) || !strings.Contains(err.Error(), "invalidated") {
		t.Errorf("the pod is gone: %v", err)
	}
	if err := put(t, g, boss, `{apiVersion: v1, kind: Pod, metadata: {name: p1, namespace: default}, spec: {serviceAccountName: web, containers: [{name: c, image: x}]}}`); err != nil {
		t.Fatal(err)
	}
	if _, err := g.Token(t.Context(), somewhere, token); !apierrors.IsUnauthorized(err) {
		t.Errorf("another pod of its name: %v", err)
	}

	// That of an account that was made anew is void, too; so is that of a node that is gone.
	plain, _, _ := request(t, g, boss, "web", `"spec": {}`)
	ofNode, _, _ := request(t, g, boss, "other", `"spec": {"boundObjectRef": {"kind": "Node", "apiVersion": "v1", "name": "n2"}}`)
	if _, err := g.Token(t.Context(), somewhere, ofNode.Status.Token); err != nil {
		t.Error(err)
	}
	for kind, key := range map[*api.Kind]api.Key{api.ServiceAccountKind: {Namespace: "default", Name: "web"}, api.NodeKind: {Name: "n2"}} {
		if _, err := g.Write(api.WithUser(t.Context(), boss), api.Request{Target: api.Target{Kind: kind, Key: key}, Verb: api.VerbDelete}); err != nil {
			t.Fatal(err)
		}
	}
	if err := put(t, g, boss, `{apiVersion: v1, kind: ServiceAccount, metadata: {name: web, namespace: default}}`); err != nil {
		t.Fatal(err)
	}
	for _, token := range []string{plain.Status.Token, ofNode.Status.Token} {
		if _, err := g.Token(t.Context(), somewhere, token); !apierrors.IsUnauthorized(err) {
			t.Errorf("got %v", err)
		}
	}
}

// Wrong tokens are counted, but a good one of a pod is heard however many its neighbours made up.
func TestWrongTokensDoNotLockPodsOut(t *testing.T) {
	g := tokens(t)
	good, _, err := request(t, g, boss, "web", `"spec": {}`)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 * maxFailures {
		if _, err := g.Token(t.Context(), somewhere, "a.b.c"); !apierrors.IsUnauthorized(err) {
			t.Fatal(err)
		}
	}
	if _, err := g.Token(t.Context(), somewhere, good.Status.Token); err != nil {
		t.Error(err)
	}
	if _, err := g.Token(t.Context(), somewhere, "abcdef.0123456789abcdef"); !apierrors.IsTooManyRequests(err) {
		t.Errorf("got %v", err)
	}
}

func TestKeysRotate(t *testing.T) {
	old, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	young, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	token, err := keysOf([]*ecdsa.PrivateKey{old})[0].sign(claims{Subject: "x"})
	if err != nil {
		t.Fatal(err)
	}
	if c, err := verify(keysOf([]*ecdsa.PrivateKey{young, old}), token); err != nil || c.Subject != "x" {
		t.Errorf("%+v %v", c, err)
	}
	if _, err := verify(keysOf([]*ecdsa.PrivateKey{young}), token); !errors.Is(err, errForged) {
		t.Errorf("without the old key: %v", err)
	}
	g := New(nil, nil, young, old)
	for path, want := range map[string]string{"/openid/v1/jwks": keysOf([]*ecdsa.PrivateKey{old})[0].id, "/.well-known/openid-configuration": issuer} {
		w := httptest.NewRecorder()
		g.Issuer()[path].ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		if !json.Valid(w.Body.Bytes()) || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: %s", path, w.Body)
		}
	}
}

// FuzzVerify: whatever it is, it is refused without a panic, unless it says exactly what was signed.
func FuzzVerify(f *testing.F) {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	keys := keysOf([]*ecdsa.PrivateKey{k})
	good, err := keys[0].sign(claims{Subject: "signed", Kubernetes: bound{Pod: &reference{"p", "u"}}})
	if err != nil {
		f.Fatal(err)
	}
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","kid":"` + keys[0].id + `"}`))
	for _, seed := range []string{good, "", ".", "..", "...", good + ".", good + "=", none + good[strings.IndexByte(good, '.'):], strings.Replace(good, "e", "f", 1), "e30.e30.e30"} {
		f.Add([]byte(seed))
	}
	signed := good[:strings.LastIndexByte(good, '.')]
	f.Fuzz(func(t *testing.T, token []byte) {
		c, err := verify(keys, string(token))
		if err == nil && !bytes.HasPrefix(token, []byte(signed+".")) {
			t.Fatalf("%q passes as %+v", token, c)
		}
		if err != nil && (!errors.Is(err, errForged) || c.Subject != "") {
			t.Fatalf("%q: %v", token, err)
		}
	})
}

func TestSelfSubjectReview(t *testing.T) {
	g := tokens(t)
	for _, u := range []api.User{person("alice"), {Name: "system:node:n1", Groups: []string{api.GroupNodes, authenticated}}, {Name: "system:scheduler", Groups: []string{authenticated}}} {
		r, err := api.SelfSubjectReviews.Create(api.WithUser(t.Context(), u), g, &authenticationv1.SelfSubjectReview{})
		if err != nil || r.Status.UserInfo.Username != u.Name || strings.Join(r.Status.UserInfo.Groups, ",") != strings.Join(u.Groups, ",") {
			t.Errorf("%+v, %v", r, err)
		}
	}
	nobody := api.WithUser(t.Context(), api.User{Name: anonymous, Groups: []string{unauthenticated}})
	if _, err := api.SelfSubjectReviews.Create(nobody, g, &authenticationv1.SelfSubjectReview{}); !apierrors.IsForbidden(err) {
		t.Errorf("nobody: %v", err)
	}
}
