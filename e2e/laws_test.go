package e2e

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A law says what the packages below a folder may import of ours. The most specific folder counts. Tests and e2e are exempt.
type law struct {
	folder string
	may    []string // folders of ours; "*" as the last element of a path stands for everything below
	why    string
}

var importLaws = []law{
	{"internal/api", nil, "the vocabulary imports nothing of ours"},
	{"internal/api/apitest", []string{"internal/api"}, "the conformance suite speaks only the vocabulary"},
	{"internal", []string{"internal/*", "proto"}, "what components share knows no component"},
	{"internal/client", []string{"internal/api", "internal/wire", "internal/pki", "internal/console", "internal/wake", "proto"}, "the client is a wire, not a component"},
	{"proto", nil, "the wire format is generated"},
	{"apiserver", []string{"apiserver/*", "internal/*", "proto"}, "components never import one another"},
	{"apiserver/store", []string{"apiserver/store/*"}, "the store knows bytes, not Kubernetes"},
	{"apiserver/registry", []string{"apiserver/registry/*", "apiserver/store", "internal/api", "internal/schema", "internal/strict", "proto"}, "the registry stands on vocabulary and store alone"},
	{"apiserver/door", []string{"apiserver/door/*", "internal/api", "internal/schema", "internal/wire", "proto"}, "doors translate; they know no registry and no store"},
	{"scheduler", []string{"scheduler/*", "internal/*", "proto"}, "components never import one another"},
	{"scheduler/framework", nil, "a contract imports nothing"},
	{"scheduler/plugins", []string{"scheduler/framework", "internal/api"}, "a plugin needs only the contract and the vocabulary"},
	{"controllers", []string{"controllers/*", "internal/*", "proto"}, "components never import one another"},
	{"controllers/*", []string{"internal/*"}, "controllers meet only through objects"},
	{"agent", []string{"agent/*", "internal/*", "proto"}, "components never import one another"},
	{"agent/runtime", []string{"agent/runtime/*", "agent/network", "agent/logs", "internal/wake"}, "runtimes know no Pods"},
	{"agent/network", []string{"agent/network/*"}, "networks know no Pods"},
	{"agent/proxy", []string{"internal/api", "internal/informer", "internal/wake"}, "Services reach a node as objects, and leave it as rules"},
	{"ctl", []string{"ctl/*", "internal/*", "proto"}, "ctl is a client"},
	{"ctl/inprocess", []string{"apiserver/*", "scheduler/*", "controllers/*", "agent/*", "internal/*", "ctl/*"}, "the one place that binds all components"},
	{"cmd/apiserver", []string{"apiserver/*", "internal/*"}, "a command binds its component"},
	{"cmd/scheduler", []string{"scheduler/*", "internal/*"}, "a command binds its component"},
	{"cmd/controllers", []string{"controllers/*", "internal/*"}, "a command binds its component"},
	{"cmd/agent", []string{"agent/*", "internal/*"}, "a command binds its component"},
	{"cmd/ctl", []string{"ctl/*", "internal/*", "agent/*"}, "ctl's command hands in the simulated runtime"},
	{"cmd/logger", nil, "one runs beside every container: it must stay small"},
	{"examples", []string{"examples/*"}, "examples stand alone"},
}

// Some modules belong to one folder each.
var moduleLaws = map[string][]string{
	"github.com/containerd/containerd": {"agent/runtime/containerd"},
	"go.etcd.io/bbolt":                 {"apiserver/store/bolt"},
	"go.etcd.io/etcd":                  {"apiserver/store/etcd"},
	"github.com/spf13/cobra":           {"ctl", "cmd"},
	"github.com/google/nftables":       {"agent/proxy", "ctl/cluster", "ctl/doctor"},
	"github.com/vishvananda/netlink":   {"agent/network", "agent/proxy", "agent/runtime/containerd", "ctl/cluster"},
	"github.com/miekg/dns":             {"agent/dns"},
	"k8s.io/client-go":                 {},
	"k8s.io/client-go/util/jsonpath":   {"ctl/printer"}, // a leaf, which needs nothing else of it
	"k8s.io/client-go/util/csaupgrade": {"ctl"},         // the same
	"sigs.k8s.io/kustomize":            {"ctl"},
	"sigs.k8s.io/controller-runtime":   {},
	"k8s.io/kubernetes":                {},
}

func TestLawsOfImport(t *testing.T) {
	used := map[string]bool{}
	for file, imports := range sources(t) {
		dir := filepath.ToSlash(filepath.Dir(file))
		l, ok := lawOf(dir)
		if !ok {
			t.Errorf("%s: no law covers this folder: add one to importLaws", file)
			continue
		}
		used[l.folder] = true
		for _, path := range imports {
			if ours, ok := strings.CutPrefix(path, "optimist/"); ok && ours != dir && !covered(l.may, ours) {
				t.Errorf("%s imports %s, but %s may import only %v: %s", file, ours, l.folder, l.may, l.why)
			}
			if module := moduleOf(path); module != "" {
				if homes := moduleLaws[module]; !slices.ContainsFunc(homes, func(h string) bool { return within(h, dir) }) {
					t.Errorf("%s imports %s, which belongs in %v alone", file, path, homes)
				}
			}
		}
	}
	for _, l := range importLaws {
		if !used[l.folder] {
			t.Errorf("the law of %s covers no file", l.folder)
		}
	}
}

// moduleOf is the most specific of the moduleLaws about an import, "" if there is none.
func moduleOf(path string) (best string) {
	for module := range moduleLaws {
		if within(module, path) && len(module) > len(best) {
			best = module
		}
	}
	return best
}

func lawOf(dir string) (law, bool) {
	best, ok := law{}, false
	for _, l := range importLaws {
		if (within(l.folder, dir) || childOf(l.folder, dir)) && len(l.folder) >= len(best.folder) {
			best, ok = l, true
		}
	}
	return best, ok
}

// childOf reports whether a law's folder ends in /* and dir lies in one of those below it.
func childOf(folder, dir string) bool {
	parent, all := strings.CutSuffix(folder, "/*")
	return all && dir != parent && within(parent, dir)
}

func covered(may []string, path string) bool {
	return slices.ContainsFunc(may, func(m string) bool {
		folder, all := strings.CutSuffix(m, "/*")
		return path == folder || all && within(folder, path)
	})
}

func within(folder, path string) bool { return path == folder || strings.HasPrefix(path, folder+"/") }

// sources parses the imports of every Go file of the product.
func sources(t *testing.T) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		rel, _ := filepath.Rel("..", path)
		if err != nil || d.IsDir() && (strings.HasPrefix(d.Name(), ".") && d.Name() != ".." || d.Name() == "bin" || rel == "e2e" || d.Name() == "testdata") {
			if d != nil && d.IsDir() && err == nil {
				return fs.SkipDir
			}
			return err
		}
		if filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") || filepath.Dir(rel) == "." {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		all[rel] = nil
		for _, spec := range f.Imports {
			p, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			all[rel] = append(all[rel], p)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
