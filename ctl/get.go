package ctl

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"optimist/ctl/printer"
	"optimist/internal/api"
)

type get struct {
	selection
	printer.Columns
	output, at       string
	watch, watchOnly bool
	managed          bool
}

func getCommand(s *session) *cobra.Command {
	g := &get{selection: selection{session: s}}
	c := &cobra.Command{
		Use:               "get TYPE[,TYPE…] [NAME…] | TYPE/NAME…",
		Short:             "List objects, or show some",
		Example:           "  ctl get pods -A -o wide\n  ctl get deployment/web -o yaml\n  ctl get pods,svc -l app=web\n  ctl get pods -w\n  ctl get pods --at -5m\n  ctl get all",
		ValidArgsFunction: s.completeObjects,
		RunE:              g.run,
	}
	g.selection.flags(c)
	g.ignoreFlag(c)
	f := c.Flags()
	f.StringVarP(&g.output, "output", "o", "", "Output format: wide, yaml, json or name")
	f.BoolVarP(&g.watch, "watch", "w", false, "After listing, go on and print every change")
	f.BoolVar(&g.watchOnly, "watch-only", false, "Print changes only, not what there is")
	f.StringVar(&g.at, "at", "", "Show how it was at a revision, a time ago (-5m) or a time (RFC 3339); ages count to now")
	f.BoolVar(&g.NoHeaders, "no-headers", false, "Print no column headers")
	f.BoolVar(&g.AllLabels, "show-labels", false, "Show all labels in the last column")
	f.StringSliceVarP(&g.Labels, "label-columns", "L", nil, "Show these labels in columns of their own")
	f.BoolVar(&g.managed, "show-managed-fields", false, "Keep metadata.managedFields in yaml and json")
	return c
}

func (g *get) run(c *cobra.Command, args []string) error {
	wants, err := g.parse(c, args)
	if err := cmp.Or(err, checkFormat(g.output, "wide")); err != nil {
		return err
	}
	if g.at != "" && (g.watch || g.watchOnly) {
		return usage(c, "--at shows the past, which does not change: it cannot be combined with --watch")
	}
	if g.options.At, err = g.session.at(c.Context(), g.at); err != nil {
		return err
	}
	switch {
	case g.watch || g.watchOnly:
		return g.follow(c, wants)
	case g.output == "" || g.output == "wide":
		return g.tables(c, wants)
	default:
		return g.objects(c, wants)
	}
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
	columns.Wide, columns.Namespace = g.output == "wide", g.all && k.Namespaced
	if several {
		columns.Prefix = printer.Named(k, "")
	}
	return printer.NewTable(c.OutOrStdout(), columns)
}

// objects prints as yaml, json or names: one object by itself, several as a List.
func (g *get) objects(c *cobra.Command, wants []wanted) error {
	var items []printer.Item
	var all faults
	for _, w := range wants {
		list, errs := g.list(c.Context(), w, api.Full)
		all.add(errs...)
		for _, o := range list.Items {
			items = append(items, printer.Item{Kind: w.kind, Object: o})
		}
	}
	single := len(wants) == 1 && len(wants[0].names) == 1
	switch {
	case single && len(items) == 1 || g.output == "name":
		for _, item := range items {
			all.add(printer.Object(c.OutOrStdout(), g.output, item, g.managed))
		}
	case !single:
		all.add(printer.Objects(c.OutOrStdout(), g.output, items, g.managed))
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
	if len(errs) > 0 {
		return errs.err()
	}
	table := g.table(c, w.kind, false)
	show := func(objects []api.Object, rows [][]any) error { return table.Print(list.Columns, objects, rows) }
	if g.output != "" && g.output != "wide" {
		show = func(objects []api.Object, _ [][]any) error { return g.stream(c, w.kind, objects) }
	}
	if !g.watchOnly && len(list.Items) > 0 {
		if err := show(list.Items, list.Rows); err != nil {
			return err
		}
	}
	o := api.WatchOptions{Selector: g.options.Selector, Fields: g.options.Fields, After: list.Revision, View: api.Table}
	if len(w.names) == 1 {
		o.Fields = byName(w.names[0])
	}
	return g.session.watch(c.Context(), 0, g.where(w.kind), o, func(e api.Event) (bool, error) {
		if e.Object == nil {
			return false, nil
		}
		return false, show([]api.Object{e.Object}, [][]any{e.Cells})
	})
}

// stream prints objects one by one, each a document.
func (g *get) stream(c *cobra.Command, k *api.Kind, objects []api.Object) error {
	for _, o := range objects {
		if g.output == "yaml" {
			fmt.Fprintln(c.OutOrStdout(), "---")
		}
		if err := printer.Object(c.OutOrStdout(), g.output, printer.Item{Kind: k, Object: o}, g.managed); err != nil {
			return err
		}
	}
	return nil
}

// checkFormat refuses what -o does not know; further formats are those of commands with tables.
func checkFormat(format string, further ...string) error {
	allowed := slices.Sorted(slices.Values(append(further, "json", "name", "yaml")))
	return oneOf("unable to match a printer suitable for the output format %q, allowed formats are: "+strings.Join(allowed, ","), format, append(allowed, "")...)
}
