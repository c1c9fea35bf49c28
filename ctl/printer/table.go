package printer

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"optimist/internal/api"
)

// Columns chooses what a table shows beside the server's ordinary columns.
type Columns struct {
	Wide      bool     // the server's columns of lower priority too
	Namespace bool     // first
	Labels    []string // a column for each of these labels
	AllLabels bool     // last, all labels in one column
	NoHeaders bool
	Prefix    string // before every name: "pod/"
}

const (
	minWidth = 6
	padding  = 3
)

// Table prints rows under each other.
type Table struct {
	Columns
	out     io.Writer
	shown   []int // indices into the server's columns
	widths  []int
	started bool
}

// NewTable returns an empty table of the server's columns.
func NewTable(out io.Writer, c Columns) *Table { return &Table{Columns: c, out: out} }

// Plain prints a table that no server made.
func Plain(out io.Writer, noHeaders bool, rows [][]any, columns ...string) error {
	var defs []metav1.TableColumnDefinition
	for _, name := range columns {
		defs = append(defs, metav1.TableColumnDefinition{Name: name})
	}
	return NewTable(out, Columns{NoHeaders: noHeaders}).Print(defs, make([]api.Object, len(rows)), rows)
}

// Print adds rows, with the header before the first ones. objects stand beside the rows.
func (t *Table) Print(defs []metav1.TableColumnDefinition, objects []api.Object, rows [][]any) error {
	var lines [][]string
	if !t.started {
		t.shown = t.choose(defs)
		if !t.NoHeaders {
			lines = append(lines, t.header(defs))
		}
		t.started = true
	}
	for i, row := range rows {
		lines = append(lines, t.line(objects[i], row))
	}
	t.widen(lines)
	for _, line := range lines {
		if err := t.write(line); err != nil {
			return err
		}
	}
	return nil
}

func (t *Table) choose(defs []metav1.TableColumnDefinition) []int {
	var shown []int
	for i, d := range defs {
		if d.Priority == 0 || t.Wide {
			shown = append(shown, i)
		}
	}
	return shown
}

func (t *Table) header(defs []metav1.TableColumnDefinition) []string {
	var line []string
	if t.Namespace {
		line = append(line, "NAMESPACE")
	}
	for _, i := range t.shown {
		line = append(line, strings.ToUpper(defs[i].Name))
	}
	for _, l := range t.Labels {
		line = append(line, strings.ToUpper(l[strings.LastIndex(l, "/")+1:]))
	}
	if t.AllLabels {
		line = append(line, "LABELS")
	}
	return line
}

func (t *Table) line(o api.Object, row []any) []string {
	var line []string
	if t.Namespace {
		line = append(line, o.GetNamespace())
	}
	for n, i := range t.shown {
		text := "<none>"
		if i < len(row) {
			text = Cell(row[i])
		}
		if n == 0 {
			text = t.Prefix + text
		}
		line = append(line, text)
	}
	for _, l := range t.Labels {
		line = append(line, o.GetLabels()[l])
	}
	if t.AllLabels {
		line = append(line, Labels(o.GetLabels()))
	}
	return line
}

func (t *Table) widen(lines [][]string) {
	for _, line := range lines {
		t.widths = append(t.widths, slices.Repeat([]int{minWidth}, max(0, len(line)-len(t.widths)))...)
		for i, cell := range line {
			t.widths[i] = max(t.widths[i], utf8.RuneCountInString(cell)+padding)
		}
	}
}

func (t *Table) write(line []string) error {
	var b strings.Builder
	for i, cell := range line {
		b.WriteString(cell)
		if i < len(line)-1 {
			b.WriteString(strings.Repeat(" ", t.widths[i]-utf8.RuneCountInString(cell)))
		}
	}
	_, err := fmt.Fprintln(t.out, b.String())
	return err
}

// Cell is a table's cell as text. Numbers that travelled as JSON arrive as float64.
func Cell(v any) string {
	switch v := v.(type) {
	case nil:
		return "<none>"
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case string:
		return strings.NewReplacer("\n", `\n`, "\t", " ").Replace(v)
	default:
		return fmt.Sprint(v)
	}
}

// Labels is a=b,c=d in order, or <none>.
func Labels(set map[string]string) string {
	if len(set) == 0 {
		return "<none>"
	}
	return labels.FormatLabels(set)
}
