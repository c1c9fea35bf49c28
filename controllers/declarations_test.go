package controllers

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"optimist/apiserver/auth"
	"optimist/internal/api"
	"optimist/internal/informer"
	"optimist/internal/reconcile"
)

var update = flag.Bool("update", false, "write the files that are generated from the declarations")

// What the controllers declare is what the server lets them do, and what docs/dataflow.md shows.
// After a change of a declaration: go test ./controllers -run Declarations -update
func TestDeclarationsAreGenerated(t *testing.T) {
	set := informer.NewSet(nil)
	all := All(func(string) reconcile.Deps { return reconcile.Deps{Set: set} })
	list := roles(all, set.Kinds())
	slices.SortFunc(list, func(a, b auth.Role) int { return strings.Compare(a.User, b.User) })
	roles, err := yaml.Marshal(list)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string][]byte{
		"../apiserver/auth/roles.yaml": append([]byte(head), roles...),
		"../docs/dataflow.md":          dataflow(all),
	} {
		if *update {
			if err := os.WriteFile(path, want, 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		have, err := os.ReadFile(path)
		if err != nil || !bytes.Equal(have, want) {
			t.Errorf("%s is stale (%v); run: go test ./controllers -run Declarations -update", path, err)
		}
	}
}

const head = `# Code generated from the controllers' declarations; DO NOT EDIT. A controller may do what stands here and nothing else:
# change its declaration (Writes, Watches) and generate anew.
`

// roles are one of each controller, for its writes, and one of the shared informers.
func roles(all []reconcile.Controller, watched []*api.Kind) []auth.Role {
	shared := auth.Role{User: api.UserControllers}
	for _, k := range watched {
		shared.Rules = append(shared.Rules, auth.Rule{Group: k.Group, Kind: k.Name, Verbs: []api.Verb{api.VerbList, api.VerbWatch}})
	}
	list := []auth.Role{shared}
	for _, c := range all {
		role := auth.Role{User: api.ControllerPrefix + c.Name}
		for _, g := range c.Writes {
			rule := auth.Rule{Kind: "*", Sub: g.Sub, Verbs: g.Verbs}
			if g.Kind != nil {
				rule.Group, rule.Kind = g.Kind.Group, g.Kind.Name
			}
			role.Rules = append(role.Rules, rule)
		}
		role.Rules = append(role.Rules, auth.Rule{Kind: "Event", Verbs: []api.Verb{api.VerbCreate, api.VerbPatch}})
		list = append(list, role)
	}
	return list
}

func dataflow(all []reconcile.Controller) []byte {
	var b bytes.Buffer
	b.WriteString("<!-- Generated from the controllers' declarations: go test ./controllers -run Declarations -update -->\n" +
		"# Who watches and writes what\n\nComponents meet only through objects. Besides the controllers below, the scheduler writes `pods/binding` and the agents write\n" +
		"`pods/status`, `nodes` and `leases` (see `apiserver/auth/system.yaml` and `node.go`).\n\n" +
		"| controller | is for | starts on changes of | may |\n|---|---|---|---|\n")
	for _, c := range all {
		kind := "objects of any kind"
		if c.For != nil {
			kind = "`" + c.For.String() + "`"
		}
		var may []string
		for _, g := range c.Writes {
			may = append(may, fmt.Sprintf("%s `%s`", words(g.Verbs), target(g)))
		}
		fmt.Fprintf(&b, "| `%s` | %s | `%s` | %s |\n", c.Name, kind, strings.Join(triggers(c), "` `"), strings.Join(may, "; "))
	}
	b.WriteString("\n```mermaid\ngraph LR\n")
	for _, c := range all {
		for _, name := range triggers(c) {
			fmt.Fprintf(&b, "  %s[(%s)] --> %s\n", id(name), name, c.Name)
		}
		for _, g := range c.Writes {
			if verbs := changing(g.Verbs); len(verbs) > 0 {
				fmt.Fprintf(&b, "  %s -- %s --> %s[(%s)]\n", c.Name, words(verbs), id(target(reconcile.Grant{Kind: g.Kind})), target(reconcile.Grant{Kind: g.Kind}))
			}
		}
	}
	b.WriteString("```\n")
	return b.Bytes()
}

// triggers are the kinds whose changes start a controller.
func triggers(c reconcile.Controller) []string {
	var names []string
	add := func(k *api.Kind) {
		if !slices.Contains(names, k.String()) {
			names = append(names, k.String())
		}
	}
	if c.For != nil {
		add(c.For)
	}
	for _, k := range c.Owns {
		add(k)
	}
	if len(c.Watches) > 20 {
		return append(names, "any kind")
	}
	for _, w := range c.Watches {
		add(w.Kind)
	}
	return names
}

func target(g reconcile.Grant) string {
	name := "any kind"
	if g.Kind != nil {
		name = g.Kind.String()
	}
	if g.Sub != "" {
		name += "/" + g.Sub
	}
	return name
}

func changing(verbs []api.Verb) []api.Verb {
	return slices.DeleteFunc(slices.Clone(verbs), func(v api.Verb) bool { return v == api.VerbGet || v == api.VerbList })
}

func words(verbs []api.Verb) string {
	var all []string
	for _, v := range verbs {
		all = append(all, string(v))
	}
	return strings.Join(all, ", ")
}

func id(name string) string { return strings.NewReplacer(".", "_", " ", "_").Replace(name) }
