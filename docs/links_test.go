// Package docs keeps the documentation true where a machine can tell: links, line counts, tables that enumerate something.
package docs

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// link is one [text](target) of a page.
type link struct{ page, text, target string }

var (
	linkSyntax = regexp.MustCompile(`\[([^\]]+)\]\(([^)\s]+)\)`)
	fence      = regexp.MustCompile("(?ms)^```.*?^```")
	code       = regexp.MustCompile("`[^`\n]*`")
)

// pages are all Markdown files of the repository, as paths from this folder.
func pages(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, pattern := range []string{"../*.md", "*.md", "adr/*.md", "labs/*.md"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, found...)
	}
	if len(all) < 10 {
		t.Fatalf("only %d pages were found: %v", len(all), all)
	}
	return all
}

// text is a file's content.
func text(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func links(t *testing.T, page string) []link {
	t.Helper()
	var all []link
	for _, m := range linkSyntax.FindAllStringSubmatch(fence.ReplaceAllString(text(t, page), ""), -1) {
		all = append(all, link{page, strings.Trim(m[1], "`"), m[2]})
	}
	return all
}

// A link leads to a file, a folder or a heading. A link to a Go file whose text is not a file's name names something that is declared in
// it: package.Name, package.Type.Member or package.(*Type).Method.
func TestLinksLeadSomewhere(t *testing.T) {
	for _, page := range pages(t) {
		for _, l := range links(t, page) {
			if !strings.Contains(l.target, "://") {
				l.check(t)
			}
		}
	}
}

func (l link) check(t *testing.T) {
	t.Helper()
	path, heading, _ := strings.Cut(l.target, "#")
	file := l.page
	if path != "" {
		file = filepath.Join(filepath.Dir(l.page), path)
	}
	if _, err := os.Stat(file); err != nil {
		t.Errorf("%s: [%s] leads to %s, which does not exist", l.page, l.text, l.target)
		return
	}
	switch {
	case heading != "" && !slices.Contains(headings(t, file), heading):
		t.Errorf("%s: [%s] leads to %s, which has no heading #%s", l.page, l.text, path, heading)
	case strings.HasSuffix(file, ".go") && !strings.HasSuffix(l.text, ".go") && !declares(t, file, l.text):
		t.Errorf("%s: [%s] is not declared in %s%s", l.page, l.text, path, elsewhere(t, file, l.text))
	}
}

// elsewhere says which file of the same folder declares a name.
func elsewhere(t *testing.T, file, name string) string {
	t.Helper()
	siblings, err := filepath.Glob(filepath.Join(filepath.Dir(file), "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range siblings {
		if declares(t, s, name) {
			return ", but in " + filepath.Base(s)
		}
	}
	return ", nor in any file beside it"
}

// headings are a page's headings as anchors: lower case, dashes for spaces, no punctuation.
func headings(t *testing.T, page string) []string {
	t.Helper()
	var all []string
	for _, m := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(text(t, page), -1) {
		kept := strings.Map(func(r rune) rune {
			if strings.ContainsRune("`.,:;()[]'’?!/\"—", r) {
				return -1
			}
			return r
		}, strings.ToLower(m[1]))
		all = append(all, strings.ReplaceAll(kept, " ", "-"))
	}
	return all
}

// declares reports whether a Go file declares a name, given as in the links.
func declares(t *testing.T, file, name string) bool {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	rest, ok := strings.CutPrefix(name, f.Name.Name+".")
	return ok && slices.Contains(declared(f), rest)
}

func declared(f *ast.File) []string {
	var names []string
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			names = append(names, receiver(d)+d.Name.Name)
		case *ast.GenDecl:
			for _, s := range d.Specs {
				names = append(names, specNames(s)...)
			}
		}
	}
	return names
}

// receiver is "", "T." or "(*T).".
func receiver(d *ast.FuncDecl) string {
	if d.Recv == nil {
		return ""
	}
	typ, pointer := d.Recv.List[0].Type, false
	if star, ok := typ.(*ast.StarExpr); ok {
		typ, pointer = star.X, true
	}
	if generic, ok := typ.(*ast.IndexExpr); ok {
		typ = generic.X
	}
	if pointer {
		return "(*" + typ.(*ast.Ident).Name + ")."
	}
	return typ.(*ast.Ident).Name + "."
}

// specNames are the names of constants and variables, and of a type and its fields or methods.
func specNames(s ast.Spec) []string {
	var names []string
	switch s := s.(type) {
	case *ast.ValueSpec:
		for _, n := range s.Names {
			names = append(names, n.Name)
		}
	case *ast.TypeSpec:
		names = append(names, s.Name.Name)
		var members *ast.FieldList
		switch typ := s.Type.(type) {
		case *ast.StructType:
			members = typ.Fields
		case *ast.InterfaceType:
			members = typ.Methods
		default:
			return names
		}
		for _, m := range members.List {
			for _, n := range m.Names {
				names = append(names, s.Name.Name+"."+n.Name)
			}
		}
	}
	return names
}

// Whatever stands in backticks and looks like a file of ours exists.
func TestNamedFilesExist(t *testing.T) {
	file := regexp.MustCompile(`^(agent|apiserver|cmd|controllers|ctl|docs|e2e|examples|internal|proto|scheduler|\.ci)/[\w./-]*$`)
	for _, page := range pages(t) {
		for _, quoted := range code.FindAllString(fence.ReplaceAllString(text(t, page), ""), -1) {
			path := strings.Trim(quoted, "`")
			if !file.MatchString(path) {
				continue
			}
			if _, err := os.Stat(filepath.Join("..", path)); err != nil {
				t.Errorf("%s names `%s`, which does not exist", page, path)
			}
		}
	}
}
