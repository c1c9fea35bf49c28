package printer_test

import (
	"errors"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"optimist/ctl/printer"
	"optimist/internal/api"
)

var columns = []metav1.TableColumnDefinition{{Name: "Name"}, {Name: "Ready"}, {Name: "IP", Priority: 1}, {Name: "Age"}}

func pod(name string) api.Object {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, Labels: map[string]string{"app": "web", "b.c/tier": "front"}}}
}

func TestTable(t *testing.T) {
	objects := []api.Object{pod("a"), pod("longer-name")}
	rows := [][]any{{"a", "1/1", "10.0.0.1", "5s"}, {"longer-name", "0/1", nil, float64(3000000)}}
	for _, c := range []struct {
		name string
		printer.Columns
		want string
	}{
		{"three spaces after the widest cell, and at least six characters", printer.Columns{}, `
NAME          READY   AGE
a             1/1     5s
longer-name   0/1     3000000
`},
		{"wide", printer.Columns{Wide: true}, `
NAME          READY   IP         AGE
a             1/1     10.0.0.1   5s
longer-name   0/1     <none>     3000000
`},
		{"everything around it", printer.Columns{Namespace: true, Labels: []string{"b.c/tier", "x"}, AllLabels: true, Prefix: "pod/"}, `
NAMESPACE   NAME              READY   AGE       TIER    X     LABELS
default     pod/a             1/1     5s        front         app=web,b.c/tier=front
default     pod/longer-name   0/1     3000000   front         app=web,b.c/tier=front
`},
		{"no headers", printer.Columns{NoHeaders: true}, `
a             1/1   5s
longer-name   0/1   3000000
`},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out strings.Builder
			if err := printer.NewTable(&out, c.Columns).Print(columns, objects, rows); err != nil {
				t.Fatal(err)
			}
			if got := "\n" + out.String(); got != c.want {
				t.Errorf("got%s\nwant%s", got, c.want)
			}
		})
	}
}

func TestTableKeepsItsWidths(t *testing.T) {
	var out strings.Builder
	table := printer.NewTable(&out, printer.Columns{})
	for _, name := range []string{"quite-long", "a"} {
		if err := table.Print(columns, []api.Object{pod(name)}, [][]any{{name, "1/1", "", "5s"}}); err != nil {
			t.Fatal(err)
		}
	}
	want := "NAME         READY   AGE\nquite-long   1/1     5s\na            1/1     5s\n"
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
}

func TestObjectsSayWhatTheyAre(t *testing.T) {
	o := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "a", ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "ctl"}}}, Data: map[string]string{"x": "<1>"}}
	item := printer.Item{Kind: api.ConfigMapKind, Object: o}
	for format, want := range map[string]string{
		"yaml": "apiVersion: v1\ndata:\n  x: <1>\nkind: ConfigMap\nmetadata:\n  name: a\n",
		"json": "{\n    \"apiVersion\": \"v1\",\n    \"data\": {\n        \"x\": \"\\u003c1\\u003e\"\n    },\n    \"kind\": \"ConfigMap\",\n    \"metadata\": {\n        \"name\": \"a\"\n    }\n}\n",
	} {
		var out strings.Builder
		f := printer.Format{Text: format}
		if err := errors.Join(f.Parse(false), f.Object(&out, item)); err != nil {
			t.Fatal(err)
		}
		if out.String() != want {
			t.Errorf("%s: got\n%s\nwant\n%s", format, out.String(), want)
		}
	}
	if len(o.ManagedFields) != 1 || o.Kind != "" {
		t.Error("printing changed the object")
	}
}
