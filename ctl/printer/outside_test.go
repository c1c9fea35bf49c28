package printer

import (
	"bytes"
	"testing"
)

// FuzzPath: JSONPath expressions, from -o jsonpath, --sort-by, custom-columns and `wait --for=jsonpath`.
func FuzzPath(f *testing.F) {
	for _, seed := range []string{"{.items[*].metadata.name}", ".metadata.name", "{range .items[*]}{.a}{'\\n'}{end}", "{.items[?(@.a==\"b\")].c}", "{..a}", "{.items[-1:]}", "{.items[0:9:2]}", "{.items['a','b']}", "{", "{.a[", "{range}", "a:.b,c:{.d}"} {
		f.Add(seed)
	}
	data := map[string]any{"items": []any{map[string]any{"a": "b", "c": int64(1), "metadata": map[string]any{"name": "x"}}, map[string]any{"a": nil, "c": 1.5}}, "a": []any{}}
	f.Fuzz(func(t *testing.T, text string) {
		if p, err := NewPath(text); err == nil {
			_, _ = p.Values(data) // may be refused
		}
		for _, make := range []func(*Format, string) (encoder, error){func(f *Format, s string) (encoder, error) { return f.path(s, false) }, customColumns, goTemplate} {
			var out bytes.Buffer
			if e, err := make(&Format{Missing: true}, text); err == nil {
				_ = e(&out, data) // may be refused
			}
		}
	})
}
