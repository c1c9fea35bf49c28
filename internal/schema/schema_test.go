package schema

import (
	"encoding/json"
	"os"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"optimist/internal/api"
)

// Every kind of the catalogue has its definition, which says so itself, and no reference leads nowhere.
func TestEveryKindIsDefined(t *testing.T) {
	all, err := Definitions()
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range api.Builtin.All() {
		for _, v := range k.Versions {
			name := Name(k.GVK(v.Name))
			if all[name] == nil || all[name].Extensions["x-kubernetes-group-version-kind"] == nil {
				t.Errorf("%s %s has no definition %q", k, v.Name, name)
			}
		}
	}
}

func TestNoReferenceLeadsNowhere(t *testing.T) {
	all, err := unpack[json.RawMessage]()
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range all {
		for _, ref := range regexp.MustCompile(`"\$ref":"([^"]*)"`).FindAllStringSubmatch(string(text), -1) {
			if to, ok := strings.CutPrefix(ref[1], RefV3); !ok || all[to] == nil {
				t.Errorf("%s refers to %s, which is not defined", name, ref[1])
			}
		}
	}
}

// The data was made from the k8s.io/api that the programs are built with.
func TestGenerated(t *testing.T) {
	version := func(file string) string {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return regexp.MustCompile(`(?m)^\tk8s.io/api \S+`).FindString(string(text))
	}
	if product, generator := version("../../go.mod"), version("generate/go.mod"); product != generator || product == "" {
		t.Errorf("go.mod has %q, generate/go.mod %q: make them equal, then `make generate`", product, generator)
	}
}

func BenchmarkDefinitions(b *testing.B) { bench(b, Definitions) }
func BenchmarkSwagger(b *testing.B)     { bench(b, Swagger) }
func BenchmarkTexts(b *testing.B) {
	bench(b, func() (map[string]json.RawMessage, error) { return Texts("io.k8s.api.core.v1.Pod") })
}

// bench reports the heap that a result holds, beside time and garbage.
func bench[T any](b *testing.B, load func() (T, error)) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	got, err := load()
	if err != nil {
		b.Fatal(err)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := load(); err != nil {
			b.Fatal(err)
		}
	}
	runtime.KeepAlive(got)
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/1e6, "MB-held")
}
