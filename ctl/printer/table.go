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
	Exact     bool   // headers as they are, not in capitals
	Events    bool   // before all, what happened
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
	Event   api.EventType // of the rows to come
	columns []column      // nil before the header
	widths  []int
}

type column struct {
	name string
	cell func(o api.Object, row []any) string
}

// NewTable returns an empty table of the server's columns.
func NewTable(out io.Writer, c Columns) *Table { return &Table{Columns: c, out: out} }

// Plain prints a table that no server made.
func Plain(out io.Writer, noHeaders bool, rows [][]any, columns ...string) error {
	return NewTable(out, Columns{NoHeaders: noHeaders}).Print(named(columns), make([]api.Object, len(rows)), rows)
}

func named(columns []string) (defs []metav1.TableColumnDefinition) {
	for _, name := range columns {
		defs = append(defs, metav1.TableColumnDefinition{Name: name})
	}
	return defs
}

// Print adds rows, with the header before the first ones. objects stand beside the rows.
func (t *Table) Print(defs []metav1.TableColumnDefinition, objects []api.Object, rows [][]any) error {
	var lines [][]string
	if t.columns == nil {
		t.columns = t.choose(defs)
		var header []string
		for _, c := range t.columns {
			if !t.Exact {
				c.name = strings.ToUpper(c.name)
			}
			header = append(header, c.name)
		}
		if !t.NoHeaders {
			lines = append(lines, header)
		}
	}
	for i, row := range rows {
		var line []string
		for _, c := range t.columns {
			line = append(line, c.cell(objects[i], row))
		}
		lines = append(lines, line)
	}
	t.widen(lines)
	for _, line := range lines {
		if err := t.write(line); err != nil {
			return err
		}
	}
	return nil
}

// choose returns the server's columns that are asked for, and around them those that it does not know.
func (t *Table) choose(defs []metav1.TableColumnDefinition) (all []column) {
	if t.Events {
		all = append(all, column{"event", func(api.Object, []any) string { return fmt.Sprintf("%-8s", t.Event) }}) // as wide as the longest
	}
	if t.Namespace {
		all = append(all, column{"namespace", func(o api.Object, _ []any) string { return o.GetNamespace() }})
	}
	prefix := t.Prefix
	for i, d := range defs {
		if d.Priority == 0 || t.Wide {
			before := prefix
			prefix = ""
			all = append(all, column{d.Name, func(_ api.Object, row []any) string { return before + cell(row, i) }})
		}
	}
	for _, l := range t.Labels {
		all = append(all, column{l[strings.LastIndex(l, "/")+1:], func(o api.Object, _ []any) string { return o.GetLabels()[l] }})
	}
	if t.AllLabels {
		all = append(all, column{"labels", func(o api.Object, _ []any) string { return Labels(o.GetLabels()) }})
	}
	return all
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

// cell is a table's cell as text. Numbers that travelled as JSON arrive as float64.
func cell(row []any, i int) string {
	if i >= len(row) || row[i] == nil {
		return "<none>"
	}
	if f, ok := row[i].(float64); ok {
		return strconv.FormatFloat(f, 'f', -1, 64)
	}
	return strings.NewReplacer("\n", `\n`, "\t", " ").Replace(fmt.Sprint(row[i]))
}

// Labels is a=b,c=d in order, or <none>.
func Labels(set map[string]string) string {
	if len(set) == 0 {
		return "<none>"
	}
	return labels.FormatLabels(set)
}
