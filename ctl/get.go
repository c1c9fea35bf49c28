package ctl

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"optimist/ctl/printer"
	"optimist/internal/api"
)

type get struct {
	*session
	selection
	output           string
	watch, watchOnly bool
	noHeaders        bool
	showLabels       bool
	labelColumns     []string
	ignoreNotFound   bool
	managed          bool
	service          api.Service
}

func getCommand(s *session) *cobra.Command {
	g := &get{session: s}
	c := &cobra.Command{
		Use:               "get TYPE[,TYPE…] [NAME…] | TYPE/NAME…",
		Short:             "List objects, or show some",
		Example:           "  ctl get pods -A -o wide\n  ctl get deployment/web -o yaml\n  ctl get pods,svc -l app=web\n  ctl get pods -w\n  ctl get all",
		ValidArgsFunction: s.completeObjects,
		RunE:              g.run,
	}
	g.selection.flags(c)
	f := c.Flags()
	f.StringVarP(&g.output, "output", "o", "", "Output format: wide, yaml, json or name")
	f.BoolVarP(&g.watch, "watch", "w", false, "After listing, go on and print every change")
	f.BoolVar(&g.watchOnly, "watch-only", false, "Print changes only, not what there is")
	f.BoolVar(&g.noHeaders, "no-headers", false, "Print no column headers")
	f.BoolVar(&g.showLabels, "show-labels", false, "Show all labels in the last column")
	f.StringSliceVarP(&g.labelColumns, "label-columns", "L", nil, "Show these labels in columns of their own")
	f.BoolVar(&g.ignoreNotFound, "ignore-not-found", false, "A missing object is no error")
	f.BoolVar(&g.managed, "show-managed-fields", false, "Keep metadata.managedFields in yaml and json")
	return c
}

func (g *get) run(c *cobra.Command, args []string) error {
	wants, err := parseArgs(api.Builtin, args)
	if err != nil {
		return usageError(c, err)
	}
	if err := errors.Join(printer.Check(g.output), g.check(wants)); err != nil {
		return err
	}
	if g.service, err = g.connect(); err != nil {
		return err
	}
	switch {
	case g.watch || g.watchOnly:
		return g.follow(c, wants)
	case printer.IsTable(g.output):
		return g.tables(c, wants)
	default:
		return g.objects(c, wants)
	}
}

// tables prints a table a kind.
func (g *get) tables(c *cobra.Command, wants []wanted) error {
	var faults []error
	printed := 0
	for _, w := range wants {
		list, errs := g.list(c.Context(), w, api.Table)
		faults = append(faults, errs...)
		if len(list.Items) == 0 {
			continue
		}
		if printed > 0 {
			fmt.Fprintln(c.OutOrStdout())
		}
		printed++
		if err := g.table(c, w.kind, len(wants) > 1).Print(list.Columns, list.Items, list.Rows); err != nil {
			return err
		}
	}
	if printed == 0 && len(faults) == 0 && !g.ignoreNotFound {
		fmt.Fprintln(c.ErrOrStderr(), g.nothing(wants))
	}
	return joined(faults)
}

func (g *get) table(c *cobra.Command, k *api.Kind, several bool) *printer.Table {
	columns := printer.Columns{Wide: g.output == "wide", Namespace: g.all && k.Namespaced, Labels: g.labelColumns, AllLabels: g.showLabels, NoHeaders: g.noHeaders}
	if several {
		columns.Prefix = printer.Named(k, "")
	}
	return printer.NewTable(c.OutOrStdout(), columns)
}

func (g *get) nothing(wants []wanted) string {
	if g.all || !wants[0].kind.Namespaced {
		return "No resources found"
	}
	return fmt.Sprintf("No resources found in %s namespace.", g.ns())
}

// objects prints as yaml, json or names: one object by itself, several as a List.
func (g *get) objects(c *cobra.Command, wants []wanted) error {
	var items []printer.Item
	var faults []error
	for _, w := range wants {
		list, errs := g.list(c.Context(), w, api.Full)
		faults = append(faults, errs...)
		for _, o := range list.Items {
			items = append(items, printer.Item{Kind: w.kind, Object: o})
		}
	}
	single := len(wants) == 1 && len(wants[0].names) == 1
	var err error
	switch {
	case g.output == "name":
		err = printer.Names(c.OutOrStdout(), items)
	case single && len(items) == 1:
		err = printer.Object(c.OutOrStdout(), g.output, items[0], g.managed)
	case !single:
		err = printer.Objects(c.OutOrStdout(), g.output, items, g.managed)
	}
	return joined(append(faults, errList(err)...))
}

func errList(err error) []error {
	if err == nil {
		return nil
	}
	return []error{err}
}

// list reads what is wanted of one kind: by name one after the other, or all that is selected, page by page.
func (g *get) list(ctx context.Context, w wanted, view api.View) (api.List, []error) {
	if len(w.names) == 0 {
		list, err := g.pages(ctx, w.kind, g.options(view))
		return list, errList(err)
	}
	var all api.List
	var faults []error
	for _, name := range w.names {
		list, err := g.named(ctx, w.kind, name, view)
		if err != nil {
			if !g.ignoreNotFound || !apierrors.IsNotFound(err) {
				faults = append(faults, err)
			}
			continue
		}
		all.Columns, all.Revision = list.Columns, list.Revision
		all.Items, all.Rows = append(all.Items, list.Items...), append(all.Rows, list.Rows...)
	}
	return all, faults
}

// named reads one object as a list of one, because only lists come with rows of a table.
func (g *get) named(ctx context.Context, k *api.Kind, name string, view api.View) (api.List, error) {
	list, err := g.service.List(ctx, g.target(k, ""), api.ListOptions{Fields: byName(name), View: view})
	if err == nil && len(list.Items) == 0 {
		err = k.NotFound(name)
	}
	return list, err
}

const page = 500

func (g *get) pages(ctx context.Context, k *api.Kind, o api.ListOptions) (api.List, error) {
	o.Limit = page
	target := g.where(g.session, k)
	all, err := g.service.List(ctx, target, o)
	for err == nil && all.Continue != "" {
		var next api.List
		o.Continue = all.Continue
		if next, err = g.service.List(ctx, target, o); err == nil {
			all.Items, all.Rows, all.Continue = append(all.Items, next.Items...), append(all.Rows, next.Rows...), next.Continue
		}
	}
	return all, err
}
