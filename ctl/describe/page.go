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

// rows is a description as data: labels and values in turn. A label that ends in "?" is left out when its value is empty; otherwise a list that is
// empty is <none>. What a value looks like says its type; those of no type below stand beside their label.
type rows []any

type (
	beside []string   // each on a line, the first beside the label
	below  []string   // each on a line of its own
	grid   [][]string // a table; the first row has the headers, which are underlined
	parts  []part     // named parts, with what belongs to them
	part   struct {
		name string
		rows
	}
	raw string // as it is; the label does not matter
)

// page is the text that becomes of it: lines at a depth, whose cells (separated by tabs) stand under each other.
type page struct {
	text  bytes.Buffer
	depth int
}

func (p *page) line(format string, args ...any) {
	p.text.WriteString(strings.Repeat("  ", p.depth))
	fmt.Fprintf(&p.text, format, args...)
	p.text.WriteByte('\n')
}

func (p *page) rows(all rows) {
	for i := 0; i+1 < len(all); i += 2 {
		label, optional := strings.CutSuffix(all[i].(string), "?")
		v := reflect.ValueOf(all[i+1])
		list := v.Kind() == reflect.Slice && v.Len() == 0
		switch {
		case optional && (list || v.IsZero()):
		case list:
			p.line("%s:\t<none>", label)
		default:
			p.row(label, all[i+1])
		}
	}
}

func (p *page) row(label string, value any) {
	switch v := value.(type) {
	case raw:
		p.text.WriteString(string(v))
	case rows:
		p.in(label, func() { p.rows(v) })
	case below:
		p.in(label, func() { p.lines(v) })
	case grid:
		p.in(label, func() { p.grid(v) })
	case parts:
		p.line("%s:", label)
		for _, part := range v {
			p.part(part)
		}
	case beside:
		p.line("%s:\t%s", label, strings.Join(v, "\n"+strings.Repeat("  ", p.depth)+"\t"))
	default:
		p.line("%s:\t%s", label, inWords(v))
	}
}

func inWords(value any) string {
	switch v := value.(type) {
	case metav1.Time:
		return v.UTC().Format(time.RFC1123Z)
	case *metav1.Time:
		return inWords(*v)
	case []string:
		return strings.Join(v, ", ")
	}
	return fmt.Sprint(value)
}

// in writes what belongs under a heading, one step deeper. Without one it belongs to the lines before.
func (p *page) in(heading string, write func()) {
	if heading != "" {
		p.line("%s:", heading)
	}
	p.depth++
	write()
	p.depth--
}

func (p *page) lines(all []string) {
	for _, line := range all {
		p.line("%s", line)
	}
}

func (p *page) grid(all grid) {
	for i, cells := range all {
		line := strings.Join(cells, "\t")
		if p.line("%s", line); i == 0 {
			p.line("%s", regexp.MustCompile("[^\t]").ReplaceAllString(line, "-"))
		}
	}
}

// part indents as kubectl does: names by two, within a template by three, and what belongs to them always by four.
func (p *page) part(x part) {
	outer := p.depth
	p.depth = 1
	p.line("%*s%s:", outer, "", x.name)
	p.depth = 2
	p.rows(x.rows)
	p.depth = outer
}

// table is a grid of a row for each item; none without items.
func table[T any](headers string, all []T, row func(T) []string) grid {
	if len(all) == 0 {
		return nil
	}
	g := grid{strings.Split(headers, "\t")}
	for _, item := range all {
		g = append(g, row(item))
	}
	return g
}

// each makes rows of items.
func each[T any](all []T, row func(T) rows) (r rows) {
	for _, item := range all {
		r = append(r, row(item)...)
	}
	return r
}

func texts[T any](all []T, text func(T) string) (l []string) {
	for _, item := range all {
		l = append(l, text(item))
	}
	return l
}

func marks(o metav1.Object) rows {
	shown := maps.Clone(o.GetAnnotations())
	delete(shown, "kubectl.kubernetes.io/last-applied-configuration")
	return rows{"Labels", pairs(o.GetLabels(), "="), "Annotations", pairs(shown, ": ")}
}

func pairs(set map[string]string, between string) (all beside) {
	for _, key := range slices.Sorted(maps.Keys(set)) {
		all = append(all, key+between+oneLine(set[key]))
	}
	return all
}

// String lays the description out. Lines without a second cell end a block of alignment, as in kubectl.
func (r rows) String() string {
	p := &page{}
	p.rows(r)
	var out strings.Builder
	w := tabwriter.NewWriter(&out, 0, 8, 2, ' ', 0)
	_, _ = w.Write(p.text.Bytes()) // a strings.Builder takes everything
	_ = w.Flush()
	return out.String()
}

// since is how long something is past, as tables show ages.
func (c Cluster) since(t time.Time) string {
	if t.IsZero() {
		return "<unknown>"
	}
	return duration.HumanDuration(c.At.Sub(t))
}

const maxWidth = 140

// oneLine makes a long value fit into a line.
func oneLine(s string) string {
	s = strings.ReplaceAll(strings.TrimRight(s, "\n"), "\n", `\n`)
	if len(s) > maxWidth {
		return s[:maxWidth] + "..."
	}
	return s
}

func valueOr[T any](p *T, otherwise T) T {
	if p == nil {
		return otherwise
	}
	return *p
}
