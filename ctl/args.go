package ctl

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"optimist/internal/api"
	"optimist/internal/strict"
)

// wanted is one kind, with the names that were asked for; none means all of them. ns is another namespace than the session's.
type wanted struct {
	kind  *api.Kind
	names []string
	ns    string
}

// parseArgs understands what get, describe and delete take: `pods`, `pods,svc`, `pod web db`, `pod/web svc/db`, `all`.
func parseArgs(args []string) (all []wanted, err error) {
	if len(args) == 0 {
		return nil, errors.New("Required resource not specified. `ctl api-resources` lists what there is")
	}
	if slices.ContainsFunc(args, func(a string) bool { return strings.Contains(a, "/") }) {
		return parseSlashes(args)
	}
	for _, arg := range strings.Split(args[0], ",") {
		kinds, err := findKinds(arg)
		if err != nil {
			return nil, err
		}
		for _, k := range kinds {
			all = append(all, wanted{k, args[1:], ""})
		}
	}
	return all, nil
}

// parseSlashes reads kind/name arguments, gathering neighbours of the same kind.
func parseSlashes(args []string) (all []wanted, err error) {
	for _, arg := range args {
		kindName, name, ok := strings.Cut(arg, "/")
		if !ok {
			return nil, errors.New("there is no need to specify a resource type as a separate argument when passing arguments in resource/name form (e.g. 'ctl get resource/<resource_name>' instead of 'ctl get resource resource/<resource_name>'")
		}
		if name == "" || strings.Contains(name, "/") {
			return nil, fmt.Errorf("arguments in resource/name form must have a single resource and name, not %q", arg)
		}
		kinds, err := findKinds(kindName)
		if err != nil {
			return nil, err
		}
		if n := len(all); n > 0 && all[n-1].kind == kinds[0] {
			all[n-1].names = append(all[n-1].names, name)
			continue
		}
		all = append(all, wanted{kinds[0], []string{name}, ""})
	}
	return all, nil
}

// findKinds finds a kind by any of its names, or those of a category: "all".
func findKinds(arg string) (kinds []*api.Kind, err error) {
	if k := api.Builtin.Find(arg); k != nil {
		return []*api.Kind{k}, nil
	}
	var names []string
	for _, k := range api.Builtin.All() {
		if slices.Contains(k.Categories, arg) {
			kinds = append(kinds, k)
		}
		names = append(append(names, k.Plural, k.Singular), k.Short...)
	}
	if len(kinds) > 0 {
		return kinds, nil
	}
	hint := ""
	if near := strict.Nearest(arg, names); near != "" {
		hint = fmt.Sprintf(" (did you mean %q?)", near)
	}
	return nil, fmt.Errorf("the server doesn't have a resource type %q%s", arg, hint)
}

// named returns the objects that arguments name one by one.
func (s *session) named(c *cobra.Command, args []string) ([]api.Target, error) {
	wants, err := parseArgs(args)
	if err != nil {
		return nil, usageError(c, err)
	}
	var all []api.Target
	for _, w := range wants {
		for _, name := range w.names {
			all = append(all, s.target(w.kind, name))
		}
	}
	return all, nil
}

// eachNamed does something with every object that arguments name one by one.
func (s *session) eachNamed(c *cobra.Command, args []string, do func(api.Target) error) error {
	targets, err := s.named(c, args)
	if err == nil && len(targets) == 0 {
		err = usage(c, "name an object: %s deployment/web", c.CommandPath())
	}
	if err != nil {
		return err
	}
	return each(targets, nil, do)
}

// oneNamed is the only object that arguments name.
func (s *session) oneNamed(c *cobra.Command, args []string) (t api.Target, err error) {
	targets, err := s.named(c, args)
	switch {
	case err != nil:
		return t, err
	case len(targets) != 1:
		return t, usage(c, "expected exactly one object, as TYPE/NAME or TYPE NAME")
	}
	return targets[0], nil
}

// each does something with every item and gathers what went wrong. A server that cannot be reached ends it, for it would be the same with the next.
func each[T any](items []T, f faults, do func(T) error) error {
	for _, item := range items {
		err := do(item)
		if f.add(err); unreachable(err) {
			break
		}
	}
	return f.err()
}
