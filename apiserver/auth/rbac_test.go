package auth

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"optimist/internal/api"
	"optimist/internal/api/apitest"
)

var boss = api.User{Name: "kubernetes-admin", Groups: []string{api.GroupMasters, authenticated}}

// person is an ordinary user.

func person(name string, groups ...string) api.User {
	return api.User{Name: name, Groups: append(groups, authenticated)}
}

// put creates objects, or replaces them.

func put(t testing.TB, s api.Service, u api.User, yamls string) error {
	t.Helper()
	for text := range strings.SplitSeq(yamls, "\n---\n") {
		o := apitest.Object(t, text)
		if api.Builtin.Of(o).Group == rbacv1.GroupName && o.GetNamespace() == "" && api.Builtin.Of(o).Namespaced {
			o.SetNamespace("default")
		}
		r := api.Request{Target: api.Target{Kind: api.Builtin.Of(o), Key: api.KeyOf(o)}, Verb: api.VerbCreate, Body: o}
		_, err := s.Write(api.WithUser(t.Context(), u), r)
		if apierrors.IsAlreadyExists(err) {
			r.Verb = api.VerbUpdate
			_, err = s.Write(api.WithUser(t.Context(), u), r)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func rbacObject(kind, name, rest string) string {
	return fmt.Sprintf("{apiVersion: rbac.authorization.k8s.io/v1, kind: %s, metadata: {name: %q}, %s}", kind, name, rest)
}

func bindingText(kind, name, role, subject string) string {
	roleKind, roleName, _ := strings.Cut(role, "/")
	return rbacObject(kind, name, fmt.Sprintf("roleRef: {apiGroup: rbac.authorization.k8s.io, kind: %s, name: %q}, subjects: [%s]", roleKind, roleName, subject))
}

const toAlice = "{kind: User, apiGroup: rbac.authorization.k8s.io, name: alice}"

// settled waits until the gate has made the roles that every cluster has, and filled those that collect others.

func settled(t testing.TB, g *Gate) {
	t.Helper()
	eventually(t, func() bool {
		role, ok := g.rbac.clusterRoles.Get(api.Key{Name: "admin"})
		all, err := defaults()
		missing := slices.ContainsFunc(all, func(o api.Object) bool {
			_, role := g.rbac.clusterRoles.Get(api.KeyOf(o))
			_, bound := g.rbac.clusterBindings.Get(api.KeyOf(o))
			_, isRole := o.(*rbacv1.ClusterRole)
			return isRole && !role || !isRole && !bound
		})
		return err == nil && ok && !missing && len(role.Rules) > 20
	})
}

func eventually(t testing.TB, done func() bool) {
	t.Helper()
	for range 10_000 {
		if done() {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatal("it does not come to that")
}

func TestRoles(t *testing.T) {
	for _, row := range []struct{ name, rules, may, mayNot string }{
		{"a verb on a resource", `{apiGroups: [""], resources: [pods], verbs: [get, list]}`, "get pods default/x; list pods default",
			"watch pods default; get pods kube-system/x; list pods; get pods/log default/x; create pods default/x; get configmaps default/x"},
		{"another group", `{apiGroups: [apps], resources: ["*"], verbs: ["*"]}`, "create deployments default/x; update deployments/scale default/x", "get pods default/x"},
		{"a subresource", `{apiGroups: [""], resources: [pods/log, pods/exec], verbs: [get, create]}`, "connect pods/log default/a; connect pods/exec default/a", "get pods default/x; connect pods/attach default/a"},
		{"a subresource of any kind", `{apiGroups: ["*"], resources: ["*/scale"], verbs: [update]}`, "update deployments/scale default/x; update replicasets/scale default/x", "update deployments default/x; update deployments/status default/x"},
		{"of all kinds", `{apiGroups: ["*"], resources: ["*"], verbs: [get]}`, "get pods default/x; get pods/status default/a; get secrets default/of-a", "list pods default; get nodes n1; get pods kube-system/x"},
		{"names", `{apiGroups: [""], resources: [configmaps], resourceNames: [of-a], verbs: [get, list, watch, update, create, delete, deletecollection]}`,
			"get configmaps default/of-a; update configmaps default/of-a; list configmaps default metadata.name=of-a; watch configmaps default metadata.name=of-a",
			"get configmaps default/other; list configmaps default; create configmaps default/of-a; deletecollection configmaps default; list configmaps default metadata.name=other"},
		{"the namespace itself", `{apiGroups: [""], resources: [namespaces], verbs: [get, list, delete]}`, "get namespaces default", "get namespaces kube-system; list namespaces; create namespaces default"},
		{"connects only", `{apiGroups: [""], resources: [pods/exec, pods/portforward, pods/proxy], verbs: [get]}`, "", "connect pods/exec default/a; connect pods/portforward default/a; connect pods/proxy default/a"},
		{"HTTP by a raw stream", `{apiGroups: [""], resources: [pods/proxy], verbs: [create, get]}`, "", "connect pods/proxy default/a"}, // on which any method can follow
		{"HTTP by any method", `{apiGroups: [""], resources: [pods/proxy], verbs: [create, get, update, patch, delete]}`, "connect pods/proxy default/a", ""},
		{"nothing that there is", `{apiGroups: [""], resources: [nothing], verbs: [get]}`, "", "get pods default/x"},
	} {
		g := gateway(t)
		if err := put(t, g, boss, rbacObject("Role", "r", "rules: ["+row.rules+"]")+"\n---\n"+bindingText("RoleBinding", "b", "Role/r", toAlice)); err != nil {
			t.Fatal(row.name, err)
		}
		ask := func(u api.User, questions string, may bool) {
			for text := range strings.SplitSeq(questions, ";") {
				if text = strings.TrimSpace(text); text == "" {
					continue
				}
				if err := parse(t, text).ask(api.WithUser(t.Context(), u), g); apierrors.IsForbidden(err) == may {
					t.Errorf("%s: %s %s: %v; want allowed=%v", row.name, u.Name, text, err, may)
				}
			}
		}
		ask(person("alice"), row.may, true)
		ask(person("alice"), row.mayNot, false)
		ask(person("bob"), row.may+";"+row.mayNot, false)
	}
}

// A write on a role or binding counts from the next request on, whoever asks, and so does its end.

func TestBindingsCountAtOnce(t *testing.T) {
	g := gateway(t)
	settled(t, g)
	see := func(u api.User) error {
		_, err := api.ConfigMaps.List(api.WithUser(t.Context(), u), g, "default", api.ListOptions{})
		return err
	}
	admin := api.WithUser(t.Context(), boss)
	for i := range 50 {
		name := fmt.Sprint("u", i)
		subject := map[int]string{0: "{kind: User, name: " + name + "}", 1: "{kind: Group, name: g" + name + "}", 2: "{kind: ServiceAccount, namespace: default, name: " + name + "}"}[i%3]
		u := map[int]api.User{0: person(name), 1: person("x", "g"+name), 2: person("system:serviceaccount:default:" + name)}[i%3]
		if err := see(u); !apierrors.IsForbidden(err) {
			t.Fatalf("%s before: %v", name, err)
		}
		kind := map[bool]string{true: "ClusterRoleBinding", false: "RoleBinding"}[i%2 == 0]
		if err := put(t, g, boss, bindingText(kind, name, "ClusterRole/view", subject)); err != nil {
			t.Fatal(err)
		}
		if err := see(u); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		of, key := api.ClusterRoleBindingKind, api.Key{Name: name}
		if kind == "RoleBinding" {
			of, key.Namespace = api.RoleBindingKind, "default"
		}
		r := api.Request{Target: api.Target{Kind: of, Key: key}, Verb: api.VerbDelete}
		if i%5 == 0 {
			r.Verb, r.Key.Name = api.VerbDeleteCollection, ""
			r.Match.Fields = parse(t, "list pods metadata.name="+name).fields
		}
		if _, err := g.Write(admin, r); err != nil {
			t.Fatal(err)
		}
		if err := see(u); !apierrors.IsForbidden(err) {
			t.Fatalf("%s afterwards: %v", name, err)
		}
	}
	if err := put(t, g, boss, bindingText("RoleBinding", "lost", "Role/gone", toAlice)); err != nil {
		t.Fatal(err)
	}
	want := `configmaps is forbidden: User "alice" cannot list resource "configmaps" in API group "" in the namespace "default": RBAC: role.rbac.authorization.k8s.io "gone" not found`
	if err := see(person("alice")); err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

func TestPaths(t *testing.T) {
	g := gateway(t)
	settled(t, g)
	if err := put(t, g, boss, rbacObject("ClusterRole", "paths", "rules: [{nonResourceURLs: [/x/*, /y], verbs: [get]}]")+"\n---\n"+bindingText("ClusterRoleBinding", "paths", "ClusterRole/paths", toAlice)); err != nil {
		t.Fatal(err)
	}
	nobody := api.User{Name: anonymous, Groups: []string{unauthenticated}}
	account := api.User{Name: "system:serviceaccount:default:x", Groups: append(accountGroups("default"), authenticated)}
	for _, row := range []struct {
		u          api.User
		verb, path string
		may        bool
	}{
		{nobody, "get", "/healthz", true}, {nobody, "get", "/livez", true}, {nobody, "get", "/readyz", true}, {nobody, "get", "/version", false},
		{nobody, "get", "/api", false}, {nobody, "get", "/metrics", false}, {nobody, "post", "/healthz", false}, {nobody, "get", "/openid/v1/jwks", false},
		{person("bob"), "get", "/api", true}, {person("bob"), "get", "/apis/apps/v1", true}, {person("bob"), "get", "/openapi/v3", true}, {person("bob"), "get", "/metrics", false},
		{person("bob"), "get", "/x/1", false}, {person("alice"), "get", "/x/1", true}, {person("alice"), "get", "/y", true}, {person("alice"), "get", "/y/1", false}, {person("alice"), "put", "/y", false},
		{person("m", "system:monitoring"), "get", "/metrics", true}, {boss, "delete", "/anything", true}, {account, "get", "/openid/v1/jwks", true},
		{api.User{Name: "system:scheduler", Groups: []string{authenticated}}, "get", "/api", true},
	} {
		if err := g.Path(api.WithUser(t.Context(), row.u), row.verb, row.path); (err == nil) != row.may {
			t.Errorf("%s %s %s: %v", row.u.Name, row.verb, row.path, err)
		}
	}
	want := `forbidden: User "system:anonymous" cannot get path "/metrics"`
	if err := g.Path(api.WithUser(t.Context(), nobody), "get", "/metrics"); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	wantNobody := `pods is forbidden: User "system:anonymous" cannot list resource "pods" in API group "" in the namespace "default"`
	if _, err := api.Pods.List(api.WithUser(t.Context(), nobody), g, "default", api.ListOptions{}); err == nil || err.Error() != wantNobody {
		t.Errorf("got %v", err)
	}
}

func TestAggregationAndDefaults(t *testing.T) {
	g := gateway(t)
	settled(t, g)
	collected := func(name, verb string) func() bool {
		return func() bool {
			role, _ := g.rbac.clusterRoles.Get(api.Key{Name: name})
			return strings.Contains(fmt.Sprint(role.Rules), verb)
		}
	}
	if err := put(t, g, boss, rbacObject("ClusterRole", "more", `rules: [{apiGroups: [x.y], resources: [things], verbs: [twist]}]`)); err != nil {
		t.Fatal(err)
	}
	r := api.ClusterRoles.Request(api.VerbPatch, api.Key{Name: "more"}, "", nil)
	r.Patch = &api.Patch{Type: types.MergePatchType, Data: []byte(`{"metadata": {"labels": {"rbac.authorization.k8s.io/aggregate-to-view": "true"}}}`)}
	if _, err := g.Write(api.WithUser(t.Context(), boss), r); err != nil {
		t.Fatal(err)
	}
	eventually(t, collected("admin", "twist")) // through view and edit
	if err := api.ClusterRoles.Delete(api.WithUser(t.Context(), boss), g, api.Key{Name: "more"}, api.Options{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return !collected("admin", "twist")() })

	// What somebody took out of a default role comes back at the next start, what he added stays, and who says so is left alone.
	changed := []string{`{"rules": [{"apiGroups": ["x.y"], "resources": ["own"], "verbs": ["get"]}]}`,
		`{"rules": [], "metadata": {"annotations": {"rbac.authorization.kubernetes.io/autoupdate": "false"}}}`}
	for i, name := range []string{"system:auth-delegator", "system:node-bootstrapper"} {
		r := api.ClusterRoles.Request(api.VerbPatch, api.Key{Name: name}, "", nil)
		r.Patch = &api.Patch{Type: types.MergePatchType, Data: []byte(changed[i])}
		if _, err := g.Write(api.WithUser(t.Context(), boss), r); err != nil {
			t.Fatal(err)
		}
	}
	if err := g.makeDefaults(t.Context(), g.own()); err != nil {
		t.Fatal(err)
	}
	mended, _ := g.rbac.clusterRoles.Get(api.Key{Name: "system:auth-delegator"})
	alone, _ := g.rbac.clusterRoles.Get(api.Key{Name: "system:node-bootstrapper"})
	if text := fmt.Sprint(mended.Rules); !strings.Contains(text, "own") || !strings.Contains(text, "tokenreviews") || len(alone.Rules) > 0 {
		t.Errorf("%s\n%v", text, alone.Rules)
	}
	before := mended.ResourceVersion
	if err := g.makeDefaults(t.Context(), g.own()); err != nil {
		t.Fatal(err)
	}
	if now, _ := g.rbac.clusterRoles.Get(api.Key{Name: "system:auth-delegator"}); now.ResourceVersion != before {
		t.Error("what needs no mending is written")
	}
}

// What the garbage collector changes needs no rights but to write.

// Who may patch may not create by a server-side apply.

func TestAnApplyThatCreatesNeedsCreate(t *testing.T) {
	g := gateway(t)
	if err := put(t, g, boss, rbacObject("Role", "r", `rules: [{apiGroups: [""], resources: [configmaps], verbs: [patch]}]`)+"\n---\n"+bindingText("RoleBinding", "b", "Role/r", toAlice)); err != nil {
		t.Fatal(err)
	}
	apply := func(name string) error {
		r := api.ConfigMaps.Request(api.VerbPatch, api.Key{Namespace: "default", Name: name}, "", nil)
		r.Manager = "test"
		r.Patch = &api.Patch{Type: types.ApplyYAMLPatchType, Data: []byte("{apiVersion: v1, kind: ConfigMap, metadata: {name: " + name + "}, data: {a: b}}")}
		_, err := g.Write(api.WithUser(t.Context(), person("alice")), r)
		return err
	}
	if err := apply("of-a"); err != nil {
		t.Error(err)
	}
	if err := apply("new"); err == nil || !strings.Contains(err.Error(), `cannot create resource "configmaps"`) {
		t.Errorf("got %v", err)
	}
}

func TestImpersonation(t *testing.T) {
	g := gateway(t)
	settled(t, g)
	const may = `{apiGroups: [""], resources: [users], resourceNames: [bob, "system:apiserver"], verbs: [impersonate]}, {apiGroups: [""], resources: [groups], resourceNames: [devs], verbs: [impersonate]},
		{apiGroups: [authentication.k8s.io], resources: [userextras/scopes], resourceNames: [a], verbs: [impersonate]}`
	if err := put(t, g, boss, rbacObject("ClusterRole", "r", "rules: ["+may+"]")+"\n---\n"+bindingText("ClusterRoleBinding", "b", "ClusterRole/r", toAlice)+"\n---\n"+
		rbacObject("Role", "sa", `rules: [{apiGroups: [""], resources: [serviceaccounts], verbs: [impersonate]}]`)+"\n---\n"+bindingText("RoleBinding", "sa", "Role/sa", toAlice)); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		as     api.User
		groups string // "" = refused
		says   string
	}{
		{api.User{Name: "bob"}, "system:authenticated", ""},
		{api.User{Name: "bob", Groups: []string{"devs"}}, "devs,system:authenticated", ""},
		{api.User{Name: "bob", Groups: []string{"devs", api.GroupMasters}}, "", `groups "system:masters" is forbidden: User "alice" cannot impersonate resource "groups" in API group "" at the cluster scope`},
		{api.User{Name: "carol"}, "", `users "carol" is forbidden: User "alice" cannot impersonate resource "users" in API group "" at the cluster scope`},
		{api.User{Name: "bob", Extra: map[string][]string{"scopes": {"a"}}}, "system:authenticated", ""},
		{api.User{Name: "bob", Extra: map[string][]string{"scopes": {"b"}}}, "", `userextras/scopes.authentication.k8s.io "b" is forbidden: User "alice" cannot impersonate resource "userextras/scopes" in API group "authentication.k8s.io" at the cluster scope`},
		{api.User{Name: "bob", UID: "1"}, "", `uids.authentication.k8s.io "1" is forbidden: User "alice" cannot impersonate resource "uids" in API group "authentication.k8s.io" at the cluster scope`},
		{api.User{Name: "system:serviceaccount:default:x"}, "system:serviceaccounts,system:serviceaccounts:default,system:authenticated", ""},
		{api.User{Name: "system:serviceaccount:kube-system:x"}, "", `serviceaccounts "x" is forbidden: User "alice" cannot impersonate resource "serviceaccounts" in API group "" in the namespace "kube-system"`},
		{api.User{Groups: []string{"devs"}}, "", "requested to impersonate groups, a uid or extras without impersonating a user"},
	} {
		ctx, err := g.Impersonate(api.WithUser(t.Context(), person("alice")), row.as)
		u, _ := api.UserFrom(ctx)
		if row.says == "" && (err != nil || u.Name != row.as.Name || strings.Join(u.Groups, ",") != row.groups) || row.says != "" && (err == nil || err.Error() != row.says || u.Name != "alice") {
			t.Errorf("%+v: %+v, %v", row.as, u, err)
		}
	}
	// A name alone makes nobody almighty.
	ctx, err := g.Impersonate(api.WithUser(t.Context(), person("alice")), api.User{Name: api.UserAPIServer})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := api.Secrets.List(ctx, g, "", api.ListOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("by the server's name: %v", err)
	}
}

func TestAccessReviews(t *testing.T) {
	g := gateway(t)
	settled(t, g)
	if err := put(t, g, boss, bindingText("RoleBinding", "b", "ClusterRole/view", toAlice)); err != nil {
		t.Fatal(err)
	}
	admin := api.WithUser(t.Context(), boss)
	for _, row := range []struct {
		user, group, verb, resource, sub, name string
		allowed                                bool
		reason                                 string
	}{
		{"alice", "", "get", "pods", "log", "x", true, `RBAC: allowed by RoleBinding "b/default" of ClusterRole "view" to User "alice"`},
		{"alice", "", "get", "secrets", "", "x", false, ""},
		{"alice", "nowhere", "get", "things", "", "x", false, ""},
		{"system:node:n1", "", "get", "secrets", "", "of-a", true, ""},
		{"system:node:n1", "", "get", "secrets", "", "of-b", false, "no relationship found between node 'n1' and this object"},
		{"system:scheduler", "", "create", "pods", "binding", "x", true, ""},
		{"system:scheduler", "", "create", "pods", "", "", false, ""},
	} {
		q := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{User: row.user, Groups: []string{authenticated}, ResourceAttributes: &authorizationv1.ResourceAttributes{
			Namespace: "default", Verb: row.verb, Group: row.group, Resource: row.resource, Subresource: row.sub, Name: row.name}}}
		if strings.HasPrefix(row.user, api.NodePrefix) {
			q.Spec.Groups = append(q.Spec.Groups, api.GroupNodes)
		}
		a, err := api.SubjectAccessReviews.Create(admin, g, q)
		if err != nil || a.Status.Allowed != row.allowed || a.Status.Reason != row.reason || a.Kind != "SubjectAccessReview" {
			t.Errorf("%+v: %+v, %v", row, a, err)
		}
	}
	alice := api.WithUser(t.Context(), person("alice"))
	if _, err := api.SubjectAccessReviews.Create(alice, g, &authorizationv1.SubjectAccessReview{}); !apierrors.IsForbidden(err) {
		t.Errorf("alice asks about others: %v", err)
	}
	self, err := api.SelfSubjectAccessReviews.Create(alice, g, &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{
		NonResourceAttributes: &authorizationv1.NonResourceAttributes{Path: "/api", Verb: "get"}}})
	if err != nil || !self.Status.Allowed || self.Status.Reason != `RBAC: allowed by ClusterRoleBinding "system:discovery" of ClusterRole "system:discovery" to Group "system:authenticated"` {
		t.Errorf("%+v, %v", self, err)
	}
	rules, err := api.SelfSubjectRulesReviews.Create(alice, g, &authorizationv1.SelfSubjectRulesReview{Spec: authorizationv1.SelfSubjectRulesReviewSpec{Namespace: "default"}})
	if text := fmt.Sprint(rules.Status); err != nil || !strings.Contains(text, "pods/log") || !strings.Contains(text, "selfsubjectreviews") || !strings.Contains(text, "/openapi/*") || rules.Status.Incomplete {
		t.Errorf("%s, %v", text, err)
	}
	for body, key := range map[api.Object]api.Key{ // a right in one namespace is none to ask about others
		&authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{User: "x", NonResourceAttributes: &authorizationv1.NonResourceAttributes{}}}: {Namespace: "default"},
		&authorizationv1.LocalSubjectAccessReview{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system"}, Spec: authorizationv1.SubjectAccessReviewSpec{User: "x",
			ResourceAttributes: &authorizationv1.ResourceAttributes{Namespace: "kube-system"}}}: {Namespace: "default"},
		&authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: "x"}}: {Namespace: "default"},
	} {
		if res, err := g.Write(admin, api.Request{Target: api.Target{Kind: api.Builtin.Of(body), Key: key}, Verb: api.VerbCreate, Body: body}); !apierrors.IsBadRequest(err) {
			t.Errorf("%T in %+v: %+v, %v", body, key, res.Object, err)
		}
	}
	local := api.LocalSubjectAccessReviews.Request(api.VerbCreate, api.Key{Namespace: "default"}, "", nil)
	local.Raw = &api.Raw{MediaType: "application/json", Data: []byte(`{"apiVersion": "authorization.k8s.io/v1", "kind": "LocalSubjectAccessReview", "metadata": {"namespace": "default"},
		"spec": {"user": "alice", "resourceAttributes": {"namespace": "kube-system", "verb": "get", "resource": "pods"}}}`)}
	if _, err := g.Write(admin, local); err == nil || !strings.Contains(err.Error(), "spec.resourceAttributes.namespace: Invalid value: \"kube-system\": must match metadata.namespace") {
		t.Errorf("got %v", err)
	}
	for _, bad := range []string{`{}`, `{"user": "x"}`, `{"user": "x", "resourceAttributes": {}, "nonResourceAttributes": {}}`, `{"nonResourceAttributes": {}}`, `{"usr": "x"}`, `[]`} {
		r := api.SubjectAccessReviews.Request(api.VerbCreate, api.Key{}, "", nil)
		r.Raw = &api.Raw{MediaType: "application/json", Data: []byte(`{"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": ` + bad + `}`)}
		if _, err := g.Write(admin, r); !apierrors.IsInvalid(err) && !apierrors.IsBadRequest(err) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

// Whatever the roles, what a system's part does is decided by the files that are built in.

func TestObjectsNeitherGiveNorTakeFromTheSystem(t *testing.T) {
	g := gateway(t)
	settled(t, g)
	ctx := func(name string, groups ...string) context.Context {
		return api.WithUser(t.Context(), person(name, groups...))
	}
	if err := put(t, g, boss, bindingText("ClusterRoleBinding", "all", "ClusterRole/cluster-admin", "{kind: User, name: 'system:scheduler'}, {kind: User, name: 'system:node:n1'}, {kind: Group, name: 'system:bootstrappers'}")); err != nil {
		t.Fatal(err)
	}
	for _, c := range []context.Context{ctx("system:scheduler"), ctx("system:node:n1", api.GroupNodes), ctx("system:bootstrap:abcdef", api.GroupBootstrappers)} {
		if _, err := api.Secrets.List(c, g, "", api.ListOptions{}); !apierrors.IsForbidden(err) {
			t.Errorf("got %v", err)
		}
	}
	if _, err := g.Write(api.WithUser(t.Context(), boss), api.Request{Target: api.Target{Kind: api.ClusterRoleBindingKind}, Verb: api.VerbDeleteCollection}); err != nil {
		t.Fatal(err)
	}
	if _, err := api.Pods.List(ctx("system:scheduler"), g, "", api.ListOptions{}); err != nil {
		t.Error(err)
	}
	if _, err := api.Pods.List(api.WithUser(t.Context(), boss), g, "", api.ListOptions{}); err != nil {
		t.Error(err)
	}
}

// BenchmarkAccess is what the gate costs a request, in a cluster with a thousand bindings of others.

func BenchmarkAccess(b *testing.B) {
	for _, row := range []struct {
		name string
		u    api.User
	}{{"administrator", boss}, {"bound", person("alice")}, {"refused", person("bob")}} {
		b.Run(row.name, func(b *testing.B) {
			g := gateway(b)
			settled(b, g)
			for i := range 1000 {
				if err := put(b, g, boss, bindingText("RoleBinding", fmt.Sprint("b", i), "ClusterRole/view", fmt.Sprintf("{kind: User, name: u%d}", i))); err != nil {
					b.Fatal(err)
				}
			}
			if err := put(b, g, boss, bindingText("RoleBinding", "alice", "ClusterRole/edit", toAlice)); err != nil {
				b.Fatal(err)
			}
			ctx, target := api.WithUser(b.Context(), row.u), parse(b, "get configmaps default/of-a").target
			for b.Loop() {
				_, _ = g.judge(ctx, api.VerbGet, target, nil)
			}
		})
	}
}
