package auth

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"

	"optimist/internal/api"
)

var update = flag.Bool("update", false, "write testdata/matrix.txt")

var objectVerbs = []api.Verb{api.VerbGet, api.VerbList, api.VerbWatch, api.VerbCreate, api.VerbUpdate, api.VerbPatch, api.VerbDelete, api.VerbDeleteCollection}

// everyVerb calls f with all that can be done to any kind of the catalogue, its subresources too.
func everyVerb(f func(v api.Verb, t api.Target)) {
	for _, k := range api.Builtin.All() {
		for _, sub := range append([]string{""}, k.Subs...) {
			t := api.Target{Kind: k, Sub: sub, Key: api.Key{Name: "some"}}
			if k.Namespaced {
				t.Key.Namespace = "default"
			}
			for _, v := range objectVerbs {
				f(v, t)
			}
		}
	}
}

// Who may do what to some object in the namespace default, that has nothing to do with him: over all kinds, subresources and verbs. Read the file when it
// changes: go test ./apiserver/auth -run TestMatrix -update
func TestMatrix(t *testing.T) {
	roles, err := Builtin()
	if err != nil {
		t.Fatal(err)
	}
	g := gatewayWith(t, roles)
	settled(t, g)
	for _, role := range []string{"view", "edit", "admin"} {
		if err := put(t, g, boss, bindingText("RoleBinding", role, "ClusterRole/"+role, "{kind: User, name: "+role+"}")); err != nil {
			t.Fatal(err)
		}
	}
	var b strings.Builder
	catalogue := 0
	everyVerb(func(v api.Verb, _ api.Target) { catalogue += map[bool]int{true: 1}[v == api.VerbGet] })
	for _, who := range []struct {
		u   api.User
		say string
	}{
		{api.User{Name: anonymous, Groups: []string{unauthenticated}}, "nobody in particular"},
		{person("alice"), "somebody without any binding"},
		{api.User{Name: "system:serviceaccount:default:default", Groups: append(accountGroups("default"), authenticated)}, "a pod without any binding"},
		{person("view"), "bound to ClusterRole view in the namespace"}, {person("edit"), "… edit"}, {person("admin"), "… admin"},
		{api.User{Name: "system:node:n1", Groups: []string{api.GroupNodes, authenticated}}, "a node, about what is not its own and its pods do not need"},
		{api.User{Name: "system:bootstrap:abcdef", Groups: []string{api.GroupBootstrappers, authenticated}}, "a machine that joins"},
		{person("system:scheduler"), "the scheduler"},
		{boss, "an administrator"},
	} {
		may := map[string][]string{} // resources, by what may be done to them
		of := map[string][]string{}
		everyVerb(func(v api.Verb, target api.Target) {
			what := asking(v, target).resource
			if target.Kind.Group != "" {
				what += " (" + target.Kind.Group + ")"
			}
			var s authorizationv1.SubjectAccessReviewStatus
			a := &authorizationv1.ResourceAttributes{Verb: string(v), Group: target.Kind.Group, Resource: target.Kind.Plural, Subresource: target.Sub, Namespace: target.Key.Namespace, Name: target.Key.Name}
			if err := g.reviewAccess(api.WithUser(t.Context(), boss), authorizationv1.SubjectAccessReviewSpec{User: who.u.Name, Groups: who.u.Groups, ResourceAttributes: a}, &s); err != nil {
				t.Fatal(err)
			}
			if s.Allowed {
				of[what] = append(of[what], string(v))
			}
		})
		for what, verbs := range of {
			may[strings.Join(verbs, " ")] = append(may[strings.Join(verbs, " ")], what)
		}
		fmt.Fprintf(&b, "%s: %s\n", who.u.Name, who.say)
		for _, verbs := range slices.Sorted(maps.Keys(may)) {
			fmt.Fprintf(&b, "  %s:", verbs)
			if len(may[verbs]) == catalogue {
				may[verbs] = []string{"everything"}
			}
			width := 200
			for _, what := range slices.Sorted(slices.Values(may[verbs])) {
				if width += len(what) + 1; width > 140 {
					b.WriteString("\n   ")
					width = len(what)
				}
				b.WriteString(" " + strings.ReplaceAll(what, " (", "("))
			}
			b.WriteString("\n")
		}
		b.WriteString("\n")
	}
	const path = "testdata/matrix.txt"
	if *update {
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(path)
	if err != nil || string(have) != b.String() {
		t.Errorf("%s is stale (%v): go test ./apiserver/auth -run TestMatrix -update, and read what has changed", path, err)
	}
}

// A controller does what it declares and nothing else, whatever roles somebody binds it to.
func TestControllersStayWithinTheirDeclaration(t *testing.T) {
	roles, err := Builtin()
	if err != nil {
		t.Fatal(err)
	}
	g := gatewayWith(t, roles)
	settled(t, g)
	if err := put(t, g, boss, bindingText("ClusterRoleBinding", "all", "ClusterRole/cluster-admin", "{kind: Group, name: 'system:authenticated'}")); err != nil {
		t.Fatal(err)
	}
	for _, name := range roles.Controllers() {
		u := person(api.ControllerPrefix + name)
		everyVerb(func(v api.Verb, target api.Target) {
			if v == api.VerbCreate && aboutOneself[target.Kind.Name] {
				return
			}
			declared := slices.ContainsFunc(roles[u.Name], func(r Rule) bool { return r.allows(v, target) })
			if _, err := g.judge(api.WithUser(t.Context(), u), v, target, nil); (err == nil) != declared {
				t.Errorf("%s: %s %s/%s: %v", name, v, target.Kind, target.Sub, err)
			}
		})
	}
}
