package ctl

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"

	"optimist/internal/api"
)

// selection is how commands choose among the objects of a kind.
type selection struct {
	*session
	all            bool
	ignoreNotFound bool
	label, field   string
	options        api.ListOptions // what the flags mean
}

func (s *selection) flags(c *cobra.Command) {
	f := c.Flags()
	f.BoolVarP(&s.all, "all-namespaces", "A", false, "Look in all namespaces")
	f.StringVarP(&s.label, "selector", "l", "", "Labels to select by: app=web,tier!=db")
	f.StringVar(&s.field, "field-selector", "", "Fields to select by: status.phase=Running")
}

func (s *selection) ignoreFlag(c *cobra.Command) {
	c.Flags().BoolVar(&s.ignoreNotFound, "ignore-not-found", false, "A missing object is no error")
}

// parse understands arguments and selectors, and refuses what contradicts itself.
func (s *selection) parse(c *cobra.Command, args []string) ([]wanted, error) {
	wants, err := parseArgs(args)
	if err != nil {
		return nil, usageError(c, err)
	}
	for _, w := range wants {
		switch {
		case w.kind.Virtual:
			return nil, fmt.Errorf("%s are not stored; see `ctl logs --component` and `ctl version`", w.kind.Plural)
		case len(w.names) > 0 && s.label+s.field != "":
			return nil, errors.New("name cannot be provided when a selector is specified")
		case len(w.names) > 0 && s.all && w.kind.Namespaced:
			return nil, errors.New("a resource cannot be retrieved by name across all namespaces")
		}
	}
	return wants, s.parseSelectors()
}

func (s *selection) parseSelectors() (err error) {
	if s.options.Selector, err = labels.Parse(s.label); err != nil {
		return fmt.Errorf("unable to parse the selector %q: %w", s.label, err)
	}
	if s.options.Fields, err = fields.ParseSelector(s.field); err != nil {
		return fmt.Errorf("unable to parse the field selector %q: %w", s.field, err)
	}
	return nil
}

// where is what a list of the kind is about: the session's namespace or all of them.
func (s *selection) where(k *api.Kind) api.Target {
	if s.all {
		return api.Target{Kind: k}
	}
	return s.target(k, "")
}

// list reads what is wanted of one kind: by name one after the other, or all that is selected.
func (s *selection) list(ctx context.Context, w wanted, view api.View) (all api.List, f faults) {
	o := s.options
	o.View = view
	if len(w.names) == 0 {
		f.add(s.pages(ctx, w.kind, o, &all))
	}
	for _, name := range w.names {
		o.Fields = byName(name) // a list of one, because only lists come with rows of a table
		n := len(all.Items)
		err := s.pages(ctx, w.kind, o, &all)
		if err == nil && len(all.Items) == n {
			err = w.kind.NotFound(name)
		}
		if !s.ignoreNotFound || !apierrors.IsNotFound(err) {
			f.add(err)
		}
	}
	return all, f
}

const page = 500

// pages appends a list, page by page.
func (s *selection) pages(ctx context.Context, k *api.Kind, o api.ListOptions, all *api.List) error {
	for o.Limit = page; ; {
		next, err := s.List(ctx, s.where(k), o)
		if err != nil {
			return err
		}
		all.Columns, all.Revision = next.Columns, next.Revision
		all.Items, all.Rows = append(all.Items, next.Items...), append(all.Rows, next.Rows...)
		if o.Continue = next.Continue; o.Continue == "" {
			return nil
		}
	}
}

// nothing is what is said instead of a list.
func (s *selection) nothing(wants []wanted) string {
	if s.all || len(wants) > 0 && !wants[0].kind.Namespaced {
		return "No resources found"
	}
	return fmt.Sprintf("No resources found in %s namespace.", s.ns())
}
