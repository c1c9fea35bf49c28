package describe

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"
)

// page is a text under construction: lines at a depth, whose cells (separated by tabs) stand under each other.
type page struct {
	text  bytes.Buffer
	depth int
	now   time.Time
}

// line writes one line: a label, and perhaps a value.
func (p *page) line(format string, args ...any) {
	p.text.WriteString(strings.Repeat("  ", p.depth))
	fmt.Fprintf(&p.text, format, args...)
	p.text.WriteByte('\n')
}

// in writes what belongs under the line before, one step deeper.
func (p *page) in(write func()) {
	p.depth++
	write()
	p.depth--
}

// item writes a named part of a list and what belongs to it. Within a template kubectl indents these by three and four.
func (p *page) item(name string, write func()) {
	if p.depth > 0 {
		p.line(" %s:", name)
		p.in(write)
		return
	}
	p.in(func() {
		p.line("%s:", name)
		p.in(write)
	})
}

// String aligns the columns. Lines without a second cell end a block of alignment, as in kubectl.
func (p *page) String() string {
	var out strings.Builder
	w := tabwriter.NewWriter(&out, 0, 8, 2, ' ', 0)
	_, _ = w.Write(p.text.Bytes()) // a strings.Builder takes everything
	_ = w.Flush()
	return out.String()
}

// pairs writes a map under one label, one pair a line.
func (p *page) pairs(label, between string, pairs map[string]string) {
	if len(pairs) == 0 {
		p.line("%s:\t<none>", label)
		return
	}
	for i, key := range slices.Sorted(maps.Keys(pairs)) {
		head := ""
		if i == 0 {
			head = label + ":"
		}
		p.line("%s\t%s", head, key+between+oneLine(pairs[key]))
	}
}

func (p *page) labels(label string, pairs map[string]string) { p.pairs(label, "=", pairs) }

// annotations leaves out what only programs read.
func (p *page) annotations(all map[string]string) {
	shown := maps.Clone(all)
	delete(shown, "kubectl.kubernetes.io/last-applied-configuration")
	p.pairs("Annotations", ": ", shown)
}

// table writes a small table with underlined headers.
func (p *page) table(headers []string, rows [][]string) {
	var rule []string
	for _, h := range headers {
		rule = append(rule, strings.Repeat("-", len(h)))
	}
	for _, row := range slices.Concat([][]string{headers, rule}, rows) {
		p.line("%s", strings.Join(row, "\t"))
	}
}

// ago is how long something is past, as tables show ages.
func (p *page) ago(t metav1.Time) string {
	if t.IsZero() {
		return "<unknown>"
	}
	return duration.HumanDuration(p.now.Sub(t.Time))
}

func date(t metav1.Time) string { return t.Time.UTC().Format(time.RFC1123Z) }

const maxWidth = 140

// oneLine makes a long value fit into a line.
func oneLine(s string) string {
	s = strings.ReplaceAll(strings.TrimRight(s, "\n"), "\n", `\n`)
	if len(s) > maxWidth {
		return s[:maxWidth] + "..."
	}
	return s
}

func orNone(s string) string { return or(s, "<none>") }

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

func listOrNone(all []string) string { return orNone(strings.Join(all, ", ")) }

func valueOr[T any](p *T, otherwise T) T {
	if p == nil {
		return otherwise
	}
	return *p
}

// title makes "True" of true.
func title(b bool) string {
	if b {
		return "True"
	}
	return "False"
}
