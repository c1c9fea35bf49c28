package auth

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"log/slog"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"optimist/apiserver/registry"
	"optimist/apiserver/registry/kinds"
	"optimist/apiserver/store/memory"
	"optimist/internal/api"
	"optimist/internal/api/apitest"
)

// world is what the questions below are asked about: pod a runs on n1, pod b on n2, pod c waits.
const world = `
{apiVersion: v1, kind: Node, metadata: {name: n1}}
---
{apiVersion: v1, kind: Node, metadata: {name: n2}}
---
{apiVersion: v1, kind: Secret, metadata: {name: of-a, namespace: default}}
---
{apiVersion: v1, kind: Secret, metadata: {name: pull-a, namespace: default}}
---
{apiVersion: v1, kind: Secret, metadata: {name: env-a, namespace: default}}
---
{apiVersion: v1, kind: Secret, metadata: {name: of-b, namespace: default}}
---
{apiVersion: v1, kind: Secret, metadata: {name: of-a, namespace: kube-system}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: of-a, namespace: default}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: other, namespace: default}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: cluster-info, namespace: kube-public}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: other, namespace: kube-public}}
---
apiVersion: v1
kind: Pod
metadata: {name: a, namespace: default}
spec:
  nodeName: n1
  imagePullSecrets: [{name: pull-a}]
  containers:
  - {name: main, image: x, env: [{name: A, valueFrom: {secretKeyRef: {name: env-a, key: k}}}], envFrom: [{configMapRef: {name: of-a}}]}
  volumes: [{name: v, secret: {secretName: of-a}}]
---
apiVersion: v1
kind: Pod
metadata: {name: b, namespace: default}
spec:
  nodeName: n2
  containers: [{name: main, image: x}]
  volumes: [{name: v, secret: {secretName: of-b}}]
---
apiVersion: v1
kind: Pod
metadata: {name: c, namespace: default}
spec:
  containers: [{name: main, image: x}]
`

// testRoles stand in for roles.yaml, whose content follows the controllers.
var testRoles = Roles{
	"system:controller:deployment": {
		{Group: "apps", Kind: "ReplicaSet", Verbs: []api.Verb{api.VerbCreate, api.VerbUpdate}},
		{Group: "apps", Kind: "Deployment", Sub: "status", Verbs: []api.Verb{api.VerbUpdate}},
		{Kind: "Event", Verbs: []api.Verb{api.VerbCreate}},
	},
	"system:controllers":                 {{Kind: "*", Verbs: []api.Verb{api.VerbList, api.VerbWatch}}},
	"system:controller:one-in-namespace": {{Kind: "ConfigMap", Verbs: []api.Verb{api.VerbGet}, Namespace: "default", Name: "other"}},
}

// gateway is a registry with the world in it, behind the authoriser.
func gateway(t testing.TB) *Gate {
	t.Helper()
	builtin, err := Builtin()
	if err != nil {
		t.Fatal(err)
	}
	roles := Roles{"system:scheduler": builtin["system:scheduler"], api.GroupNodes: builtin[api.GroupNodes], api.GroupBootstrappers: builtin[api.GroupBootstrappers]}
	for user, rules := range testRoles {
		roles[user] = rules
	}
	return gatewayWith(t, roles)
}

func gatewayWith(t testing.TB, roles Roles) *Gate {
	t.Helper()
	checks := &Checks{}
	r, err := registry.New(memory.New(), registry.Options{Rules: kinds.All(), Checkers: []registry.Checker{checks}, Ranges: registry.Ranges{NodeBits: 24,
		ClusterCIDR: netip.MustParsePrefix("10.244.0.0/16"), ServiceCIDR: netip.MustParsePrefix("10.96.0.0/16")}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	run := func(f func(context.Context) error) {
		go func() { done <- f(ctx) }()
		t.Cleanup(func() { cancel(); <-done })
	}
	run(r.Run)
	if err := r.Bootstrap(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, text := range strings.Split(world, "---") {
		o := apitest.Object(t, text)
		if _, err := r.Write(t.Context(), api.Request{Target: api.Target{Kind: api.Builtin.Of(o), Key: api.KeyOf(o)}, Verb: api.VerbCreate, Body: o}); err != nil {
			t.Fatal(err)
		}
	}
	for name, user := range map[string]string{"of-abcdef": "system:bootstrap:abcdef", "of-n1": "system:node:n1"} {
		csr := apitest.Object(t, csrText(t, name)).(*certificatesv1.CertificateSigningRequest)
		if _, err := api.CertificateSigningRequests.Create(api.WithUser(t.Context(), api.User{Name: user}), r, csr); err != nil {
			t.Fatal(err)
		}
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	checks.Gate = New(r, roles, key)
	checks.Gate.Log = slog.New(slog.DiscardHandler)
	run(checks.Gate.Run)
	return checks.Gate
}

// csrText is a sound request.
func csrText(t testing.TB, name string) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		t.Fatal(err)
	}
	text := base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
	return "{apiVersion: certificates.k8s.io/v1, kind: CertificateSigningRequest, metadata: {name: " + name + "}, spec: {signerName: a.b/c, usages: [any], username: forged, request: " + text + "}}"
}

// question is one thing to ask: "get pods/log default/a", "list pods default spec.nodeName=n1".
type question struct {
	verb   api.Verb
	target api.Target
	fields fields.Selector
}

func parse(t testing.TB, text string) question {
	t.Helper()
	w := strings.Fields(text)
	q := question{verb: api.Verb(w[0])}
	kind, sub, _ := strings.Cut(w[1], "/")
	if q.target.Kind = api.Builtin.Find(kind); q.target.Kind == nil {
		t.Fatalf("no kind %q", kind)
	}
	q.target.Sub = sub
	for _, where := range w[2:] {
		switch ns, name, both := strings.Cut(where, "/"); {
		case strings.Contains(where, "="):
			q.fields = fields.ParseSelectorOrDie(where)
		case both:
			q.target.Key = api.Key{Namespace: ns, Name: name}
		case q.target.Kind.Namespaced:
			q.target.Key.Namespace = where
		default:
			q.target.Key.Name = where
		}
	}
	return q
}

func (q question) ask(ctx context.Context, s api.Service) error {
	switch q.verb {
	case api.VerbGet:
		_, err := s.Get(ctx, q.target, api.GetOptions{})
		return err
	case api.VerbList:
		_, err := s.List(ctx, q.target, api.ListOptions{Fields: q.fields})
		return err
	case api.VerbWatch:
		_, err := s.Watch(ctx, q.target, api.WatchOptions{Fields: q.fields, Initial: true})
		return err
	case api.VerbConnect:
		_, err := s.Connect(ctx, q.target, url.Values{"command": {"ls"}})
		return err
	}
	r := api.Request{Target: q.target, Verb: q.verb, Options: api.Options{DryRun: true}}
	if q.verb != api.VerbDelete && q.verb != api.VerbDeleteCollection {
		r.Patch = &api.Patch{Type: types.MergePatchType, Data: []byte("{}")} // also where it makes no sense: only refusals count here
	}
	_, err := s.Write(ctx, r)
	return err
}

func TestWhoMayDoWhat(t *testing.T) {
	node := api.User{Name: "system:node:n1", Groups: []string{api.GroupNodes}}
	for _, who := range []struct {
		user   api.User
		may    string
		mayNot string
	}{
		{
			user: api.User{Name: "kubernetes-admin", Groups: []string{api.GroupMasters}},
			may: `get secrets kube-system/of-a; list pods; delete nodes n1; patch pods/status default/b; connect pods/exec default/a;
				connect componentstatuses/log scheduler; connect componentstatuses/journal apiserver; deletecollection configmaps default`,
		},
		{
			user: api.User{Name: "alice"},
			mayNot: `get pods default/a; list pods default; watch nodes; create configmaps default/x; connect pods/log default/a;
				connect componentstatuses/journal apiserver`,
		},
		{
			user:   api.User{Name: "system:node:n1"}, // without the group he is nobody
			mayNot: `get nodes n1; get pods default/a; get secrets default/of-a`,
		},
		{
			user: node,
			may: `get nodes n1; get nodes n2; list nodes; watch nodes; create nodes n1; update nodes n1; patch nodes n1; patch nodes/status n1;
				get leases kube-node-lease/n1; create leases kube-node-lease/n1; update leases kube-node-lease/n1;
				get pods default/a; list pods spec.nodeName=n1; watch pods spec.nodeName=n1; list pods default spec.nodeName=n1,metadata.name=a;
				patch pods/status default/a; update pods/status default/a; delete pods default/a; get pods default/unknown; patch pods/status default/unknown;
				get secrets default/of-a; get secrets default/pull-a; get secrets default/env-a; get configmaps default/of-a;
				watch secrets default metadata.name=of-a; list configmaps default metadata.name=of-a;
				list services; watch services; get services default/x; list endpointslices; watch endpointslices;
				create events default/e; patch events default/e; create csr x; get csr of-n1`,
			mayNot: `get csr of-abcdef; list csr; patch csr/approval of-n1; patch csr/status of-n1; delete csr of-n1; get configmaps kube-public/cluster-info; create nodes n2; update nodes n2; patch nodes/status n2; delete nodes n1; connect nodes/log n1;
				get leases kube-node-lease/n2; update leases kube-node-lease/n2; update leases default/n1; delete leases kube-node-lease/n1; list leases;
				get pods default/b; get pods default/c; list pods; watch pods; list pods spec.nodeName=n2; watch pods spec.nodeName!=n1; list pods metadata.name=a;
				patch pods default/a; update pods default/a; create pods default/x; create pods/binding default/c; patch pods/status default/b;
				patch pods/status default/c; delete pods default/b; delete pods default/c; deletecollection pods default; connect pods/log default/a;
				get secrets default/of-b; get secrets kube-system/of-a; get secrets default/unknown; get configmaps default/other; create secrets default/x;
				list secrets; list secrets default; watch secrets default; watch secrets metadata.name=of-a; watch secrets default metadata.name=of-b;
				list configmaps default metadata.name!=other; create services default/x; delete events default/e; list events; list deployments;
				connect componentstatuses/journal apiserver`,
		},
		{
			user: api.User{Name: "system:bootstrap:abcdef", Groups: []string{api.GroupBootstrappers}},
			may:  `create csr x; get csr of-abcdef; get csr unknown; get configmaps kube-public/cluster-info`,
			mayNot: `get csr of-n1; list csr; watch csr; list csr metadata.name=of-abcdef; update csr of-abcdef; patch csr of-abcdef; delete csr of-abcdef; deletecollection csr;
				update csr/approval of-abcdef; patch csr/approval of-abcdef; patch csr/status of-abcdef; get csr/approval of-abcdef; create csr/approval of-abcdef;
				list configmaps kube-public; watch configmaps kube-public metadata.name=cluster-info; get configmaps kube-public/other; get configmaps default/cluster-info;
				patch configmaps kube-public/cluster-info; create configmaps kube-public/cluster-info; delete configmaps kube-public/cluster-info;
				get secrets kube-system/of-a; list secrets; create secrets kube-system/x; get nodes n1; list nodes; create nodes n3; patch nodes/status n1;
				get pods default/a; list pods; list pods spec.nodeName=; create pods default/x; connect pods/exec default/a; connect pods/log default/a;
				get leases kube-node-lease/n1; create leases kube-node-lease/n3; list services; list endpointslices; create events default/e;
				connect componentstatuses/journal apiserver; connect componentstatuses/log scheduler; connect nodes/log n1`,
		},
		{
			user: api.User{Name: "system:scheduler"},
			may: `list pods; watch pods; create pods/binding default/c; patch pods/status default/c; delete pods default/a; list nodes; watch nodes;
				create events default/e; get leases kube-system/optimist-scheduler; update leases kube-system/optimist-scheduler`,
			mayNot: `create pods default/x; patch pods default/a; patch nodes n1; get secrets default/of-a; list secrets;
				update leases kube-system/optimist-controllers; update leases kube-node-lease/n1; list deployments; connect pods/exec default/a;
				connect componentstatuses/journal apiserver`,
		},
		{
			user: api.User{Name: "system:controller:deployment"},
			may:  `create replicasets default/x; update replicasets default/x; update deployments/status default/x; create events default/e`,
			mayNot: `delete replicasets default/x; update deployments default/x; create pods default/x; list deployments; update replicasets/status default/x;
				connect componentstatuses/journal apiserver`,
		},
		{
			user:   api.User{Name: "system:controllers"},
			may:    `list deployments; watch pods; watch secrets; list leases`,
			mayNot: `get pods default/a; create pods default/x; delete replicasets default/x; connect componentstatuses/journal apiserver`,
		},
		{
			user:   api.User{Name: "system:controller:one-in-namespace"},
			may:    `get configmaps default/other`,
			mayNot: `get configmaps default/of-a; get configmaps kube-system/other`,
		},
	} {
		t.Run(who.user.Name, func(t *testing.T) {
			s, ctx := gateway(t), api.WithUser(t.Context(), who.user)
			answer := func(questions string, may bool) {
				for text := range strings.SplitSeq(questions, ";") {
					if text = strings.TrimSpace(text); text == "" {
						continue
					}
					if err := parse(t, text).ask(ctx, s); apierrors.IsForbidden(err) == may {
						t.Errorf("%s: %v; want allowed=%v", text, err, may)
					}
				}
			}
			answer(who.may, true)
			answer(who.mayNot, false)
		})
	}
}

func TestRefusalsAreWordedAsKubernetesDoes(t *testing.T) {
	s := gateway(t)
	for _, row := range []struct{ user, asks, says string }{
		{"alice", "get pods default/x", `pods "x" is forbidden: User "alice" cannot get resource "pods" in API group "" in the namespace "default"`},
		{"alice", "list deployments", `deployments.apps is forbidden: User "alice" cannot list resource "deployments" in API group "apps" at the cluster scope`},
		{"alice", "patch pods/status default/a", `pods/status "a" is forbidden: User "alice" cannot patch resource "pods/status" in API group "" in the namespace "default"`},
		{"alice", "connect pods/exec default/a", `pods/exec "a" is forbidden: User "alice" cannot create resource "pods/exec" in API group "" in the namespace "default"`},
		{"alice", "get nodes n1", `nodes "n1" is forbidden: User "alice" cannot get resource "nodes" in API group "" at the cluster scope`},
		{"system:node:n1", "get secrets default/of-b", `secrets "of-b" is forbidden: User "system:node:n1" cannot get resource "secrets" in API group "" in the namespace "default": no relationship found between node 'n1' and this object`},
		{"system:node:n1", "list pods", `pods is forbidden: User "system:node:n1" cannot list resource "pods" in API group "" at the cluster scope: a node can only list pods with field selector spec.nodeName=n1`},
	} {
		u := api.User{Name: row.user}
		if strings.HasPrefix(row.user, api.NodePrefix) {
			u.Groups = []string{api.GroupNodes}
		}
		if err := parse(t, row.asks).ask(api.WithUser(t.Context(), u), s); err == nil || err.Error() != row.says {
			t.Errorf("%s:\n got %v\nwant %s", row.asks, err, row.says)
		}
	}
	if err := parse(t, "get pods default/a").ask(t.Context(), s); !apierrors.IsUnauthorized(err) {
		t.Errorf("nobody: %v", err)
	}
}

func TestANodeLosesWhatItsPodsNoLongerNeed(t *testing.T) {
	s := gateway(t)
	as := func(u string, groups ...string) context.Context {
		return api.WithUser(t.Context(), api.User{Name: u, Groups: groups})
	}
	node, admin := as("system:node:n1", api.GroupNodes), as("admin", api.GroupMasters)
	key := api.Key{Namespace: "default", Name: "of-a"}
	if _, err := api.Secrets.Get(node, s, key); err != nil {
		t.Fatal(err)
	}
	now := int64(0)
	if err := api.Pods.Delete(admin, s, api.Key{Namespace: "default", Name: "a"}, api.Options{Grace: &now}); err != nil {
		t.Fatal(err)
	}
	if _, err := api.Secrets.Get(node, s, key); !apierrors.IsForbidden(err) {
		t.Errorf("with its last pod gone: %v", err)
	}
}

// swap is a service in which a pod is replaced by its namesake while a write on it is being judged.
type swap struct {
	api.Service
	got types.UID
}

func (s *swap) Get(context.Context, api.Target, api.GetOptions) (api.Result, error) {
	p := &corev1.Pod{}
	p.UID, p.Spec.NodeName = "the one that was judged", "n1"
	return api.Result{Object: p}, nil
}

func (s *swap) Write(_ context.Context, r api.Request) (api.Result, error) {
	s.got = r.Pre.UID
	return api.Result{Object: &corev1.Pod{}}, nil
}

func TestAWriteIsPinnedToThePodThatWasJudged(t *testing.T) {
	s := &swap{}
	ctx := api.WithUser(t.Context(), api.User{Name: "system:node:n1", Groups: []string{api.GroupNodes}})
	roles, err := Builtin()
	if err != nil {
		t.Fatal(err)
	}
	if err := api.Pods.Delete(ctx, New(s, roles), api.Key{Namespace: "default", Name: "a"}, api.Options{}); err != nil {
		t.Fatal(err)
	}
	if s.got != "the one that was judged" {
		t.Errorf("the precondition is %q", s.got)
	}
}

func TestRolesSurviveTheirFile(t *testing.T) {
	data, err := yaml.Marshal([]Role{{User: "system:controller:b", Rules: testRoles["system:controller:deployment"]}, {User: "system:controller:a"}})
	if err != nil {
		t.Fatal(err)
	}
	got := Roles{}
	if err := got.read(data); err != nil {
		t.Fatal(err)
	}
	if !got.allow("system:controller:b", api.VerbUpdate, api.Target{Kind: api.DeploymentKind, Sub: "status"}) || strings.Join(got.Controllers(), " ") != "a b" {
		t.Errorf("got %+v", got)
	}
	if err := got.read([]byte("[{user: x, rulez: []}]")); err == nil {
		t.Error("a misspelt field was accepted")
	}
}
