package docs

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"optimist/apiserver/auth"
	"optimist/internal/api"
)

// rows are the cells of all table rows of a page below a heading (up to the next one of any level), without head and rule.
func rows(t *testing.T, page, heading string) [][]string {
	t.Helper()
	_, rest, found := strings.Cut(text(t, page), "\n"+heading+"\n")
	if !found {
		t.Fatalf("%s has no heading %q", page, heading)
	}
	if end := regexp.MustCompile(`(?m)^#`).FindStringIndex(rest); end != nil {
		rest = rest[:end[0]]
	}
	var all [][]string
	for line := range strings.Lines(rest) {
		if line = strings.TrimSpace(line); !strings.HasPrefix(line, "|") || strings.HasPrefix(line, "|--") {
			continue
		}
		cells := strings.Split(strings.Trim(line, "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		all = append(all, cells)
	}
	if len(all) < 2 {
		t.Fatalf("%s has no table below %q", page, heading)
	}
	return all[1:]
}

// sitting is the most that one can read at a time.
const sitting = 500

// The README's reading order: what a sitting links is at most 500 lines long, and about as long as the table says.
func TestSittingsAreShort(t *testing.T) {
	for _, row := range rows(t, "../README.md", "## Reading order") {
		said, err := strconv.Atoi(row[len(row)-1])
		if err != nil {
			t.Errorf("%v: the last cell is not a number of lines", row)
			continue
		}
		have := 0
		for _, m := range linkSyntax.FindAllStringSubmatch(strings.Join(row, " "), -1) {
			have += strings.Count(text(t, filepath.Join("..", m[2])), "\n")
		}
		switch {
		case have > sitting:
			t.Errorf("sitting %s is %d lines long: take something out, or make two of it", row[0], have)
		case have < said*85/100 || have > said*115/100:
			t.Errorf("sitting %s is %d lines long, the README says %d", row[0], have, said)
		}
	}
}

// Every module that go.mod requires directly has a row, and no other.
func TestDirectDependenciesAreExplained(t *testing.T) {
	var required []string
	for line := range strings.Lines(text(t, "../go.mod")) {
		fields := strings.Fields(line)
		if len(fields) == 2 && strings.HasPrefix(fields[1], "v") && strings.HasPrefix(line, "\t") {
			required = append(required, fields[0])
		}
	}
	var explained []string
	for _, row := range rows(t, "dependencies.md", "## The direct ones") {
		explained = append(explained, strings.Trim(row[0], "`"))
	}
	differ(t, "go.mod", required, "docs/dependencies.md", explained)
}

// Every kind of the catalogue has its section.
func TestKindsAreDescribed(t *testing.T) {
	page := text(t, "kinds.md")
	for _, k := range api.Builtin.All() {
		if !strings.Contains(page, "\n## "+k.Name+"\n") && !strings.Contains(page, "\n| "+k.Name+" |") {
			t.Errorf("docs/kinds.md has neither a section ## %s nor a row of it", k.Name)
		}
	}
}

// What docs/kinds.md says is only stored is what the API server warns of.
func TestStoredFieldsAreListed(t *testing.T) {
	f, err := parser.ParseFile(token.NewFileSet(), "../apiserver/registry/kinds/acted_table.go", nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	// Where in an object the types of the table lie, as docs/kinds.md writes it.
	places := map[string]string{"PodSpec": "spec.", "ServiceSpec": "spec.", "NodeSpec": "spec.", "LeaseSpec": "spec.", "Endpoint": "endpoints[*].",
		"PodSecurityContext": "spec.securityContext.", "SecurityContext": "securityContext.", "VolumeMount": "volumeMounts[*].", "VolumeSource": "volumes[*].", "VolumeProjection": "sources[*].", "ContainerPort": "ports[*].", "ResourceRequirements": "resources.", "Lifecycle": "lifecycle."}
	warned := map[string]bool{}
	ast.Inspect(f, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		if of, ok := call.Fun.(*ast.IndexExpr); ok && fmt.Sprint(of.X) == "set" {
			for _, name := range strings.Fields(strings.Trim(call.Args[0].(*ast.BasicLit).Value, "`\"")) {
				warned[places[of.Index.(*ast.SelectorExpr).Sel.Name]+name] = true
			}
		}
		return true
	})
	listed := map[string]bool{}
	for line := range strings.Lines(text(t, "kinds.md")) {
		if strings.HasPrefix(line, "Stored only") {
			for _, quoted := range code.FindAllString(line, -1) {
				listed[strings.Trim(quoted, "`")] = true
			}
		}
	}
	differ(t, "acted_table.go", slices.Collect(maps.Keys(warned)), "docs/kinds.md", slices.Collect(maps.Keys(listed)))
}

// Law 2: every field of every status has its row, and whoever may write a status by its role writes something of it.
func TestStatusFieldsHaveAWriter(t *testing.T) {
	roles, err := auth.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	writers := map[string][]string{} // by field
	for _, row := range rows(t, "status-writers.md", "## Fields") {
		writers[row[0]+" "+strings.Trim(row[1], "`")] = strings.Split(row[2], ", ")
	}
	for _, k := range api.Builtin.All() {
		if !slices.Contains(k.Subs, "status") {
			continue
		}
		named := map[string]bool{}
		for _, field := range statusFields(k) {
			if _, ok := writers[k.Name+" status"]; ok { // of all its fields
				field = "status"
			}
			who, ok := writers[k.Name+" "+field]
			if !ok {
				t.Errorf("docs/status-writers.md has no row for %s %s", k.Name, field)
			}
			for _, w := range who {
				named[w] = true
			}
			if field != "status" {
				delete(writers, k.Name+" "+field)
			}
		}
		delete(writers, k.Name+" status")
		may := mayWriteStatus(roles, k)
		for _, w := range may {
			if !named[w] {
				t.Errorf("%s may write %s/status, but no row of docs/status-writers.md says that it does", w, k)
			}
		}
		for w := range named {
			if w != "API server" && w != "agent" && w != "nobody" && !slices.Contains(may, w) {
				t.Errorf("docs/status-writers.md says that %s writes %s/status, but its role does not allow that", w, k)
			}
		}
	}
	for row := range writers {
		t.Errorf("docs/status-writers.md has a row for %s, which does not exist", row)
	}
}

// statusFields are the JSON names of a kind's status, with the path.
func statusFields(k *api.Kind) []string {
	status, _ := reflect.TypeOf(k.Versions[0].New()).Elem().FieldByName("Status")
	var names []string
	for i := range status.Type.NumField() {
		name, _, _ := strings.Cut(status.Type.Field(i).Tag.Get("json"), ",")
		names = append(names, "status."+name)
	}
	return names
}

// mayWriteStatus are the users with a role that reaches a kind's status, in the words of the table. (Agents' rules have a scope.)
func mayWriteStatus(roles auth.Roles, k *api.Kind) []string {
	var who []string
	for user, rules := range roles {
		for _, r := range rules {
			if r.Kind == k.Name && r.Group == k.Group && r.Sub == "status" && r.Scope == "" {
				name := strings.TrimPrefix(strings.TrimPrefix(user, "system:"), "controller:")
				who = append(who, name)
			}
		}
	}
	return who
}

// differ tells what only one of two lists has.
func differ(t *testing.T, a string, as []string, b string, bs []string) {
	t.Helper()
	for _, x := range as {
		if !slices.Contains(bs, x) {
			t.Errorf("%s has %s, %s does not", a, x, b)
		}
	}
	for _, x := range bs {
		if !slices.Contains(as, x) {
			t.Errorf("%s has %s, %s does not", b, x, a)
		}
	}
}
