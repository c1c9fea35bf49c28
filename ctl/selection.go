package ctl

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"

	"optimist/internal/api"
)

// selection is how commands choose among the objects of a kind.
type selection struct {
	all           bool
	label, field  string
	labelSelector labels.Selector
	fieldSelector fields.Selector
}

func (s *selection) flags(c *cobra.Command) {
	f := c.Flags()
	f.BoolVarP(&s.all, "all-namespaces", "A", false, "Look in all namespaces")
	f.StringVarP(&s.label, "selector", "l", "", "Labels to select by: app=web,tier!=db")
	f.StringVar(&s.field, "field-selector", "", "Fields to select by: status.phase=Running")
}

// selects reports whether the flags choose anything; names then make no sense.
func (s *selection) selects() bool { return s.label != "" || s.field != "" }

// check parses the selectors and refuses what contradicts itself.
func (s *selection) check(wants []wanted) error {
	for _, w := range wants {
		switch {
		case w.kind.Virtual:
			return fmt.Errorf("%s are not stored; see `ctl logs --component` and `ctl version`", w.kind.Plural)
		case len(w.names) > 0 && s.selects():
			return errors.New("name cannot be provided when a selector is specified")
		case len(w.names) > 0 && s.all && w.kind.Namespaced:
			return errors.New("a resource cannot be retrieved by name across all namespaces")
		}
	}
	var err error
	if s.labelSelector, err = labels.Parse(s.label); err != nil {
		return fmt.Errorf("unable to parse the selector %q: %w", s.label, err)
	}
	if s.fieldSelector, err = fields.ParseSelector(s.field); err != nil {
		return fmt.Errorf("unable to parse the field selector %q: %w", s.field, err)
	}
	return nil
}

func (s *selection) options(view api.View) api.ListOptions {
	return api.ListOptions{Selector: s.labelSelector, Fields: s.fieldSelector, View: view}
}

// where is what a list of the kind is about: the session's namespace or all of them.
func (s *selection) where(in *session, k *api.Kind) api.Target {
	if s.all {
		return api.Target{Kind: k}
	}
	return in.target(k, "")
}
