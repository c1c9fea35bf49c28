package ctl

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"optimist/ctl/printer"
	"optimist/internal/api"
)

// follow is get --watch: what there is, then every change, one row each under the same columns.
func (g *get) follow(c *cobra.Command, wants []wanted) error {
	if len(wants) != 1 || len(wants[0].names) > 1 {
		return errors.New("you may only specify a single resource type, and one name, with --watch")
	}
	w := wants[0]
	list, errs := g.list(c.Context(), w, api.Table)
	if len(errs) > 0 {
		return joined(errs)
	}
	show, err := g.shower(c, w.kind, list)
	if err != nil {
		return err
	}
	target, o := g.watched(w, list)
	events, err := g.service.Watch(c.Context(), target, o)
	if err != nil {
		return err
	}
	for batch, err := range events {
		if err != nil {
			return err
		}
		for _, e := range batch {
			if e.Type == api.Bookmark {
				continue
			}
			if err := show(e); err != nil {
				return err
			}
		}
	}
	return c.Context().Err()
}

func (g *get) watched(w wanted, list api.List) (api.Target, api.WatchOptions) {
	o := api.WatchOptions{Selector: g.labelSelector, Fields: g.fieldSelector, After: list.Revision, View: api.Table}
	if len(w.names) == 1 {
		o.Fields = byName(w.names[0])
	}
	return g.where(g.session, w.kind), o
}

// shower prints the list, unless --watch-only, and returns what prints an event after it.
func (g *get) shower(c *cobra.Command, k *api.Kind, list api.List) (func(api.Event) error, error) {
	if !printer.IsTable(g.output) {
		one := func(o api.Object) error { return g.object(c, printer.Item{Kind: k, Object: o}) }
		return func(e api.Event) error { return one(e.Object) }, g.objectsFirst(list, one)
	}
	table := g.table(c, k, false)
	var err error
	if !g.watchOnly && len(list.Items) > 0 {
		err = table.Print(list.Columns, list.Items, list.Rows)
	}
	return func(e api.Event) error {
		return table.Print(list.Columns, []api.Object{e.Object}, [][]any{e.Cells})
	}, err
}

func (g *get) objectsFirst(list api.List, show func(api.Object) error) error {
	if g.watchOnly {
		return nil
	}
	for _, o := range list.Items {
		if err := show(o); err != nil {
			return err
		}
	}
	return nil
}

func (g *get) object(c *cobra.Command, item printer.Item) error {
	if g.output == "name" {
		return printer.Names(c.OutOrStdout(), []printer.Item{item})
	}
	if g.output == "yaml" {
		fmt.Fprintln(c.OutOrStdout(), "---")
	}
	return printer.Object(c.OutOrStdout(), g.output, item, g.managed)
}
