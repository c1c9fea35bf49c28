package describe

import (
	"bytes"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"
)

// page is a text under construction: lines at a depth, whose cells (separated by tabs) stand under each other.
type page struct {
	Cluster
	text  bytes.Buffer
	depth int
}

func (p *page) line(format string, args ...any) {
	p.text.WriteString(strings.Repeat("  ", p.depth))
	fmt.Fprintf(&p.text, format, args...)
	p.text.WriteByte('\n')
}

// rows writes labels and values in turn, a line for each pair. A label that ends in "?" is left out when its value is empty.
func (p *page) rows(pairs ...any) {
	for i := 0; i+1 < len(pairs); i += 2 {
		label, optional := strings.CutSuffix(pairs[i].(string), "?")
		if v := reflect.ValueOf(pairs[i+1]); !optional || v.IsValid() && !v.IsZero() {
			p.line("%s:\t%s", label, inWords(pairs[i+1]))
		}
	}
}

func inWords(value any) string {
	switch v := value.(type) {
	case metav1.Time:
		return date(v)
	case *metav1.Time:
		return date(*v)
	case []string:
		return orNone(strings.Join(v, ", "))
	}
	return fmt.Sprint(value)
}

// in writes what belongs under a heading, one step deeper.
func (p *page) in(heading string, write func()) {
	p.line("%s", heading)
	p.depth++
	write()
	p.depth--
}

// parts writes a heading and what belongs to n parts, or <none>.
func (p *page) parts(heading string, n int, part func(i int)) {
	if n == 0 {
		p.rows(heading, "<none>")
		return
	}
	p.in(heading+":", func() {
		for i := range n {
			part(i)
		}
	})
}

// item writes a named part. Within a template kubectl indents names by three instead of two, and what belongs to them always by four.
func (p *page) item(name string, write func()) {
	outer := p.depth
	defer func() { p.depth = outer }()
	p.depth = 1
	p.line("%*s%s:", outer, "", name)
	p.depth = 2
	write()
}

// list writes each text on a line of its own, the first beside the label.
func (p *page) list(label string, all []string) {
	if len(all) == 0 {
		all = []string{"<none>"}
	}
	label += ":"
	for _, text := range all {
		p.line("%s\t%s", label, text)
		label = ""
	}
}

func (p *page) marks(o metav1.ObjectMeta) {
	p.list("Labels", pairs(o.Labels, "="))
	p.list("Annotations", annotations(o.Annotations))
}

func annotations(set map[string]string) []string {
	shown := maps.Clone(set)
	delete(shown, "kubectl.kubernetes.io/last-applied-configuration")
	return pairs(shown, ": ")
}

func pairs(set map[string]string, between string) []string {
	var all []string
	for _, key := range slices.Sorted(maps.Keys(set)) {
		all = append(all, key+between+oneLine(set[key]))
	}
	return all
}

// table writes a row for each item under underlined headers.
func table[T any](p *page, heading, headers string, all []T, row func(T) []string) {
	var rows [][]string
	for _, item := range all {
		rows = append(rows, row(item))
	}
	p.in(heading, func() { p.grid(headers, rows) })
}

func (p *page) grid(headers string, rows [][]string) {
	p.line("%s", headers)
	p.line("%s", regexp.MustCompile("[^\t]").ReplaceAllString(headers, "-"))
	for _, cells := range rows {
		p.line("%s", strings.Join(cells, "\t"))
	}
}

// String aligns the columns. Lines without a second cell end a block of alignment, as in kubectl.
func (p *page) String() string {
	var out strings.Builder
	w := tabwriter.NewWriter(&out, 0, 8, 2, ' ', 0)
	_, _ = w.Write(p.text.Bytes()) // a strings.Builder takes everything
	_ = w.Flush()
	return out.String()
}

// since is how long something is past, as tables show ages.
func (p *page) since(t time.Time) string {
	if t.IsZero() {
		return "<unknown>"
	}
	return duration.HumanDuration(p.At.Sub(t))
}

func date(t metav1.Time) string { return t.UTC().Format(time.RFC1123Z) }

const maxWidth = 140

// oneLine makes a long value fit into a line.
func oneLine(s string) string {
	s = strings.ReplaceAll(strings.TrimRight(s, "\n"), "\n", `\n`)
	if len(s) > maxWidth {
		return s[:maxWidth] + "..."
	}
	return s
}

func orNone(s string) string {
	if s == "" {
		return "<none>"
	}
	return s
}

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
