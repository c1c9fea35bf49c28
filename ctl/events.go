package ctl

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"optimist/ctl/describe"
	"optimist/ctl/printer"
	"optimist/internal/api"
)

type events struct {
	selection
	columns printer.Columns
	output  printer.Format
	object  string
	types   []string
	follow  bool
	about   []api.Target
}

func eventsCommand(s *session) *cobra.Command {
	e := &events{selection: selection{session: s}}
	c := &cobra.Command{Use: "events [--for=TYPE/NAME] [--types=Warning] [-w]", Short: "List events, the newest last", Example: "  ctl events --for=pod/web --types=Warning\n  ctl events -A -w",
		Args: exactly(0, "no arguments; --for names an object"), RunE: e.run}
	f := c.Flags()
	f.BoolVarP(&e.all, "all-namespaces", "A", false, "Look in all namespaces")
	f.StringVar(&e.object, "for", "", "Only those about this object: pod/web")
	f.StringSliceVar(&e.types, "types", nil, "Only those of these types: Normal, Warning")
	f.BoolVarP(&e.follow, "watch", "w", false, "Go on and print every new event")
	f.BoolVar(&e.columns.NoHeaders, "no-headers", false, "Print no column headers")
	formatFlags(c, &e.output, false)
	complete(c, "for", s.completeObjects)
	complete(c, "types", words("Normal", "Warning"))
	return c
}

// settle checks the flags and finds the object that is meant.
func (e *events) settle(c *cobra.Command) (err error) {
	if slices.ContainsFunc(e.types, func(t string) bool { return !strings.EqualFold(t, "Normal") && !strings.EqualFold(t, "Warning") }) {
		return errors.New("valid --types are Normal or Warning")
	}
	if e.object != "" {
		if e.about, err = e.named(c, []string{e.object}); err != nil || len(e.about) != 1 {
			return errors.Join(err, errors.New("--for must be in resource/name form"))
		}
	}
	return e.output.Parse(false)
}

func (e *events) run(c *cobra.Command, _ []string) error {
	if err := e.settle(c); err != nil {
		return err
	}
	of := wanted{kind: api.EventKind}
	e.chunk = page
	list, wrong := e.list(c.Context(), of, api.Full)
	if len(wrong) > 0 {
		return wrong.err()
	}
	items := slices.DeleteFunc(list.Items, func(o api.Object) bool { return !e.wants(o) })
	slices.SortStableFunc(items, func(a, b api.Object) int {
		return describe.Last(a.(*corev1.Event)).Compare(describe.Last(b.(*corev1.Event)))
	})
	e.columns.Namespace = e.all
	table := printer.NewTable(c.OutOrStdout(), e.columns)
	show := func(objects []api.Object, single bool) error { return e.show(c, table, objects, single) }
	switch {
	case len(items) > 0:
		if err := show(items, false); err != nil {
			return err
		}
	case !e.follow && e.all:
		fmt.Fprintln(c.ErrOrStderr(), "No events found.")
	case !e.follow:
		fmt.Fprintf(c.ErrOrStderr(), "No events found in %s namespace.\n", e.ns())
	}
	if !e.follow {
		return nil
	}
	return e.watch(c.Context(), 0, e.where(of), api.WatchOptions{After: list.Revision}, func(x api.Event) (bool, error) {
		if x.Object == nil || x.Type == api.Deleted || !e.wants(x.Object) {
			return false, nil
		}
		return false, show([]api.Object{x.Object}, true)
	})
}

// show prints events as rows, or in another form: as a list, or singly.
func (e *events) show(c *cobra.Command, table *printer.Table, objects []api.Object, single bool) error {
	at := describe.Cluster{At: time.Now()}
	var rows [][]any
	var items []printer.Item
	for _, o := range objects {
		x := o.(*corev1.Event)
		rows = append(rows, []any{at.Seen(x), x.Type, x.Reason, x.InvolvedObject.Kind + "/" + x.InvolvedObject.Name, strings.TrimSpace(x.Message)})
		items = append(items, printer.Item{Kind: api.EventKind, Object: o})
	}
	switch {
	case e.output.Name == "":
		return table.Print(eventColumns, objects, rows)
	case single:
		return e.output.Object(c.OutOrStdout(), items[0])
	}
	return e.output.Objects(c.OutOrStdout(), items)
}

func (e *events) wants(o api.Object) bool {
	x := o.(*corev1.Event)
	for _, t := range e.about {
		if i := x.InvolvedObject; i.Kind != t.Kind.Name || i.Name != t.Key.Name || t.Key.Namespace != "" && !e.all && i.Namespace != t.Key.Namespace {
			return false
		}
	}
	return len(e.types) == 0 || slices.ContainsFunc(e.types, func(t string) bool { return strings.EqualFold(t, x.Type) })
}

var eventColumns = []metav1.TableColumnDefinition{{Name: "Last Seen"}, {Name: "Type"}, {Name: "Reason"}, {Name: "Object"}, {Name: "Message"}}
