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
	every          bool // all of the kind, where otherwise something must choose
	ignoreNotFound bool
	chunk          int64 // how many a page holds; 0 = all
	label, field   string
	options        api.ListOptions // what the flags mean
}

func (s *selection) flags(c *cobra.Command) {
	f := c.Flags()
	f.BoolVarP(&s.all, "all-namespaces", "A", false, "Look in all namespaces")
	f.StringVarP(&s.label, "selector", "l", "", "Labels to select by: app=web,tier!=db")
	s.chunk = page
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

// from is parse, or else what the documents of -f and -k name.
func (s *selection) from(c *cobra.Command, args []string, d *documents) (all []wanted, wrong faults) {
	if !d.given() {
		all, err := s.parse(c, args)
		wrong.add(err)
		return all, wrong
	}
	if len(args) > 0 {
		return nil, faults{usage(c, "when paths, URLs, or stdin is provided as input, you may not specify resource arguments as well")}
	}
	found, wrong := d.read(c)
	for _, document := range found {
		t, err := s.place(document)
		n := len(all) - 1
		switch wrong.add(err); {
		case err != nil:
		case n >= 0 && all[n].kind == t.Kind && all[n].ns == t.Key.Namespace:
			all[n].names = append(all[n].names, t.Key.Name)
		default:
			all = append(all, wanted{t.Kind, []string{t.Key.Name}, t.Key.Namespace})
		}
	}
	wrong.add(s.parseSelectors())
	return all, wrong
}

// chosen are the objects that are named, selected, or all of a kind if that was said.
func (s *selection) chosen(ctx context.Context, w wanted) (all []api.Target, err error) {
	for _, name := range w.names {
		t := s.where(w)
		t.Key.Name = name
		all = append(all, t)
	}
	switch {
	case len(w.names) > 0 && s.every:
		return nil, errors.New("setting 'all' parameter but found a non empty selector or names")
	case len(w.names) > 0:
		return all, nil
	case !s.every && s.label+s.field == "":
		return nil, errors.New("resource(s) were provided, but no name was specified; say which, or --all")
	}
	list, wrong := s.list(ctx, w, api.Full)
	for _, o := range list.Items {
		all = append(all, api.Target{Kind: w.kind, Key: api.KeyOf(o)})
	}
	return all, wrong.err()
}

// choose is chosen for all that arguments (or documents) name.
func (s *selection) choose(c *cobra.Command, args []string, d *documents) (all []api.Target, wrong faults) {
	wants, wrong := s.from(c, args, d)
	for _, w := range wants {
		t, err := s.chosen(c.Context(), w)
		all = append(all, t...)
		wrong.add(err)
	}
	return all, wrong
}

// where is what a list is about: the session's namespace, all of them, or that of a document.
func (s *selection) where(w wanted) api.Target {
	t := s.target(w.kind, "")
	switch {
	case s.all:
		t.Key.Namespace = ""
	case w.kind.Namespaced && w.ns != "":
		t.Key.Namespace = w.ns
	}
	return t
}

// list reads what is wanted of one kind: by name one after the other, or all that is selected.
func (s *selection) list(ctx context.Context, w wanted, view api.View) (all api.List, f faults) {
	o := s.options
	o.View = view
	if len(w.names) == 0 {
		f.add(s.pages(ctx, w, o, &all))
	}
	for _, name := range w.names {
		o.Fields = byName(name) // a list of one, because only lists come with rows of a table
		n := len(all.Items)
		err := s.pages(ctx, w, o, &all)
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

func (s *selection) pages(ctx context.Context, w wanted, o api.ListOptions, all *api.List) error {
	for o.Limit = s.chunk; ; {
		next, err := s.List(ctx, s.where(w), o)
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

func (s *selection) nothing(wants []wanted) string {
	if s.all || len(wants) > 0 && !wants[0].kind.Namespaced {
		return "No resources found"
	}
	return fmt.Sprintf("No resources found in %s namespace.", s.ns())
}
