package ctl

import (
	"cmp"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"optimist/ctl/printer"
	"optimist/internal/api"
)

type get struct {
	selection
	documents
	printer.Columns
	output           printer.Format
	at, sort         string
	watch, watchOnly bool
	showKind         bool
}

func getCommand(s *session) *cobra.Command {
	g := &get{selection: selection{session: s}}
	c := &cobra.Command{Use: "get TYPE[,TYPE…] [NAME…] | TYPE/NAME… | -f FILE", Short: "List objects, or show some",
		ValidArgsFunction: s.completeObjects, RunE: g.run,
		Example: "  ctl get pods -A -o wide\n  ctl get deployment/web -o yaml\n  ctl get pods,svc -l app=web\n  ctl get pods -w\n  ctl get pods --at -5m\n  ctl get all\n" +
			"  ctl get pods -o jsonpath='{range .items[*]}{.metadata.name}{\"\\n\"}{end}' --sort-by=.metadata.creationTimestamp\n" +
			"  ctl get nodes -o custom-columns=NAME:.metadata.name,CPU:.status.capacity.cpu"}
	g.selection.flags(c)
	g.fileFlags(c)
	g.ignoreFlag(c)
	formatFlags(c, &g.output, true)
	f := c.Flags()
	f.BoolVarP(&g.watch, "watch", "w", false, "After listing, go on and print every change")
	f.BoolVar(&g.watchOnly, "watch-only", false, "Print changes only, not what there is")
	f.BoolVar(&g.Events, "output-watch-events", false, "With --watch, say what happened to each object")
	f.StringVar(&g.at, "at", "", "Show how it was at a revision, a time ago (-5m) or a time (RFC 3339); ages count to now")
	f.BoolVar(&g.NoHeaders, "no-headers", false, "Print no column headers")
	f.BoolVar(&g.AllLabels, "show-labels", false, "Show all labels in the last column")
	f.BoolVar(&g.showKind, "show-kind", false, "Put the kind before every name")
	f.StringSliceVarP(&g.Labels, "label-columns", "L", nil, "Show these labels in columns of their own")
	f.StringVar(&g.sort, "sort-by", "", "Sort by what a JSONPath leads to: .metadata.creationTimestamp")
	f.Int64Var(&g.chunk, "chunk-size", page, "How many objects to fetch at a time; 0 fetches all at once")
	return c
}

func (g *get) run(c *cobra.Command, args []string) error {
	watching := g.watch || g.watchOnly
	g.output.Bare = g.NoHeaders
	wants, wrong := g.from(c, args, &g.documents)
	err := cmp.Or(wrong.err(), g.output.Parse(true))
	switch {
	case err != nil:
		return err
	case g.at != "" && watching:
		return usage(c, "--at shows the past, which does not change: it cannot be combined with --watch")
	case g.AllLabels && !g.output.Tabular():
		return fmt.Errorf("--show-labels option cannot be used with %s printer", g.output.Text)
	case len(g.Labels) > 0 && !g.output.Tabular():
		return fmt.Errorf("--label-columns option cannot be used with %s printer", g.output.Text)
	case g.Events && !watching:
		return errors.New("--output-watch-events option can only be used with --watch or --watch-only")
	}
	if g.options.At, err = g.session.at(c.Context(), g.at); err != nil {
		return err
	}
	switch {
	case watching:
		return g.follow(c, wants)
	case g.output.Tabular():
		return g.tables(c, wants)
	default:
		return g.objects(c, wants)
	}
}

// sorted puts a list (and the rows beside it) in the order that was asked for.
func (g *get) sorted(list *api.List) error {
	if g.sort == "" {
		return nil
	}
	order, err := printer.Order(list.Items, g.sort)
	items, rows := list.Items, list.Rows
	list.Items, list.Rows = nil, nil
	for _, i := range order {
		list.Items = append(list.Items, items[i])
		if i < len(rows) {
			list.Rows = append(list.Rows, rows[i])
		}
	}
	return err
}

// tables prints a table a kind.
func (g *get) tables(c *cobra.Command, wants []wanted) error {
	var all faults
	between := ""
	for _, w := range wants {
		list, errs := g.list(c.Context(), w, api.Table)
		if all.add(errs...); len(list.Items) == 0 {
			continue
		}
		if err := g.sorted(&list); err != nil {
			return err
		}
		fmt.Fprint(c.OutOrStdout(), between)
		between = "\n"
		if err := g.table(c, w.kind, len(wants) > 1).Print(list.Columns, list.Items, list.Rows); err != nil {
			return err
		}
	}
	if between == "" && len(all) == 0 && !g.ignoreNotFound {
		fmt.Fprintln(c.ErrOrStderr(), g.nothing(wants))
	}
	return all.err()
}

func (g *get) table(c *cobra.Command, k *api.Kind, several bool) *printer.Table {
	columns := g.Columns
	columns.Wide, columns.Namespace = g.output.Name == "wide", g.all && k.Namespaced
	if several || g.showKind {
		columns.Prefix = printer.Named(k, "")
	}
	return printer.NewTable(c.OutOrStdout(), columns)
}

// objects prints as yaml, json or names: one object by itself, several as a List.
func (g *get) objects(c *cobra.Command, wants []wanted) error {
	var whole api.List
	var items []printer.Item
	kinds := map[api.Object]*api.Kind{}
	var all faults
	for _, w := range wants {
		list, errs := g.list(c.Context(), w, api.Full)
		all.add(errs...)
		for _, o := range list.Items {
			kinds[o] = w.kind
		}
		whole.Items = append(whole.Items, list.Items...)
	}
	if err := g.sorted(&whole); err != nil {
		return err
	}
	for _, o := range whole.Items {
		items = append(items, printer.Item{Kind: kinds[o], Object: o})
	}
	single := len(wants) == 1 && len(wants[0].names) == 1
	switch {
	case single && len(items) == 1:
		all.add(g.output.Object(c.OutOrStdout(), items[0]))
	case !single:
		all.add(g.output.Objects(c.OutOrStdout(), items))
	}
	return all.err()
}

// follow is get --watch: what there is, then every change, one row each under the same columns.
func (g *get) follow(c *cobra.Command, wants []wanted) error {
	if len(wants) != 1 || len(wants[0].names) > 1 {
		return errors.New("you may only specify a single resource type, and one name, with --watch")
	}
	w := wants[0]
	list, errs := g.list(c.Context(), w, api.Table)
	if err := cmp.Or(errs.err(), g.sorted(&list)); err != nil {
		return err
	}
	table := g.table(c, w.kind, false)
	show := func(what api.EventType, objects []api.Object, rows [][]any) error {
		table.Event = what
		return table.Print(list.Columns, objects, rows)
	}
	if !g.output.Tabular() {
		show = func(what api.EventType, objects []api.Object, _ [][]any) error {
			if !g.Events {
				what = ""
			}
			return each(objects, nil, func(o api.Object) error {
				return g.output.Event(c.OutOrStdout(), what, printer.Item{Kind: w.kind, Object: o})
			})
		}
	}
	if !g.watchOnly && len(list.Items) > 0 {
		if err := show(api.Added, list.Items, list.Rows); err != nil {
			return err
		}
	}
	o := api.WatchOptions{Selector: g.options.Selector, Fields: g.options.Fields, After: list.Revision, View: api.Table}
	t := g.where(w)
	t.Key.Name = append(w.names, "")[0]
	return g.session.watch(c.Context(), 0, t, o, func(e api.Event) (bool, error) {
		if e.Object == nil {
			return false, nil
		}
		return false, show(e.Type, []api.Object{e.Object}, [][]any{e.Cells})
	})
}
