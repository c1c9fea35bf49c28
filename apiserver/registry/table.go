package registry

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"

	"optimist/internal/api"
)

// plainColumns print kinds whose Rules have none.
var plainColumns = []Column{
	{Name: "Name", Type: "string", Cell: func(o api.Object, _ time.Time) any { return o.GetName() }},
	{Name: "Age", Type: "string", Cell: func(o api.Object, now time.Time) any {
		born := o.GetCreationTimestamp()
		if born.IsZero() {
			return "<unknown>"
		}
		return duration.HumanDuration(now.Sub(born.Time))
	}},
}

// tabulate adds the columns and the rows of a table to a list.
func (k *resource) tabulate(l *api.List) {
	now := time.Now()
	l.Columns = make([]metav1.TableColumnDefinition, len(k.rules.Columns))
	for n, c := range k.rules.Columns {
		l.Columns[n] = c.Definition()
	}
	l.Rows = make([][]any, len(l.Items))
	for n, o := range l.Items {
		l.Rows[n] = k.cells(o, now)
	}
}

func (k *resource) cells(o api.Object, now time.Time) []any {
	cells := make([]any, len(k.rules.Columns))
	for n, c := range k.rules.Columns {
		cells[n] = c.Cell(o, now)
	}
	return cells
}
