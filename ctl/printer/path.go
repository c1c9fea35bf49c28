package printer

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/client-go/util/jsonpath"

	"optimist/internal/api"
)

// path makes an encoder of a JSONPath template.
func (f *Format) path(text string, asJSON bool) (encoder, error) {
	p := jsonpath.New("out").AllowMissingKeys(f.Missing)
	if err := p.Parse(text); err != nil {
		return nil, fmt.Errorf("error parsing jsonpath %s, %w", text, err)
	}
	p.EnableJSONOutput(asJSON)
	return func(out io.Writer, data any) error {
		var all bytes.Buffer
		if err := p.Execute(&all, data); err != nil {
			return fmt.Errorf("error executing jsonpath %q: %w", text, err)
		}
		_, err := all.WriteTo(out)
		return err
	}, nil
}

// Path is a JSONPath expression that leads to values, without the text around them.
type Path struct {
	*jsonpath.JSONPath
	Text string
}

// NewPath reads an expression, of which braces and the first dot may be missing: metadata.name, .metadata.name, {.metadata.name}.
func NewPath(text string) (Path, error) {
	inner := strings.TrimPrefix(strings.TrimSuffix(strings.TrimPrefix(text, "{"), "}"), ".")
	if inner == "" || strings.HasPrefix(text, "{") != strings.HasSuffix(text, "}") || strings.ContainsAny(inner, "{}") {
		return Path{}, errors.New("unexpected path string, expected a 'name1.name2' or '.name1.name2' or '{name1.name2}' or '{.name1.name2}'")
	}
	p := Path{jsonpath.New("path").AllowMissingKeys(true), "{." + inner + "}"}
	return p, p.Parse(p.Text)
}

// Values are what the path leads to.
func (p Path) Values(data any) (all []any, err error) {
	found, err := p.FindResults(data)
	for _, list := range found {
		for _, v := range list {
			if v.IsValid() && v.CanInterface() {
				all = append(all, v.Interface())
			}
		}
	}
	return all, err
}

func customColumns(f *Format, text string) (encoder, error) {
	var paths []Path
	for part := range strings.SplitSeq(text, ",") {
		header, spec, ok := strings.Cut(part, ":")
		if !ok {
			return nil, fmt.Errorf("unexpected custom-columns spec: %s, expected <header>:<json-path-expr>", part)
		}
		p, err := NewPath(spec)
		if err != nil {
			return nil, err
		}
		f.headers, paths = append(f.headers, header), append(paths, p)
	}
	var table *Table
	return func(out io.Writer, data any) error {
		if table == nil {
			table = NewTable(out, Columns{NoHeaders: f.Bare, Exact: true})
		}
		items := []any{data}
		if list, ok := data.(map[string]any)["items"].([]any); ok {
			items = list
		}
		rows := make([][]any, len(items))
		for i, item := range items {
			for _, p := range paths {
				values, err := p.Values(item)
				if err != nil {
					return err
				}
				var texts []string
				for _, v := range values {
					texts = append(texts, fmt.Sprint(v))
				}
				rows[i] = append(rows[i], cmp.Or(strings.Join(texts, ","), "<none>"))
			}
		}
		return table.Print(named(f.headers), make([]api.Object, len(rows)), rows)
	}, nil
}

// twoLines makes the one-line form of a file with headers in its first line and paths in its second.
func twoLines(text string) (string, error) {
	lines := strings.Split(text, "\n")
	if len(lines) < 2 {
		return "", errors.New("invalid template, missing spec line. Expected format is one line of space separated headers, one line of space separated column specs.")
	}
	headers, specs := strings.Fields(lines[0]), strings.Fields(lines[1])
	if len(headers) != len(specs) {
		return "", fmt.Errorf("number of headers (%d) and field specifications (%d) don't match", len(headers), len(specs))
	}
	for i := range headers {
		headers[i] += ":" + specs[i]
	}
	return strings.Join(headers, ","), nil
}

// Order returns in which order a list is sorted by what a path leads to; objects without that come first.
func Order(objects []api.Object, by string) ([]int, error) {
	p, err := NewPath(by)
	if err != nil {
		return nil, err
	}
	keys, order, found := make([]any, len(objects)), make([]int, len(objects)), len(objects) == 0
	for i, o := range objects {
		data, err := Data(o)
		if err != nil {
			return nil, err
		}
		values, err := p.Values(data)
		if err != nil {
			return nil, err
		}
		if order[i] = i; len(values) > 0 {
			keys[i], found = values[0], true
		}
	}
	if !found {
		return nil, fmt.Errorf("couldn't find any field with path %q in the list of objects", p.Text)
	}
	slices.SortStableFunc(order, func(a, b int) int { return compare(keys[a], keys[b]) })
	return order, nil
}

// compare orders quantities (which numbers are, too) and texts; nothing comes first.
func compare(a, b any) int {
	s, t := fmt.Sprint(a), fmt.Sprint(b)
	p, err := resource.ParseQuantity(s)
	q, err2 := resource.ParseQuantity(t)
	switch {
	case a == nil && b == nil:
		return 0
	case a == nil || b == nil:
		return map[bool]int{true: -1, false: 1}[a == nil]
	case err == nil && err2 == nil:
		return p.Cmp(q)
	}
	return strings.Compare(s, t)
}
