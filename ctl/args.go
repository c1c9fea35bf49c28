package ctl

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"optimist/internal/api"
	"optimist/internal/strict"
)

// wanted is one kind, with the names that were asked for; none means all of them.
type wanted struct {
	kind  *api.Kind
	names []string
}

// parseArgs understands what get, describe and delete take: `pods`, `pods,svc`, `pod web db`, `pod/web svc/db`, `all`.
func parseArgs(c *api.Catalogue, args []string) ([]wanted, error) {
	if len(args) == 0 {
		return nil, errors.New("Required resource not specified. `ctl api-resources` lists what there is")
	}
	if slices.ContainsFunc(args, func(a string) bool { return strings.Contains(a, "/") }) {
		return parseSlashes(c, args)
	}
	var all []wanted
	for _, arg := range strings.Split(args[0], ",") {
		kinds, err := findKinds(c, arg)
		if err != nil {
			return nil, err
		}
		for _, k := range kinds {
			all = append(all, wanted{k, args[1:]})
		}
	}
	return all, nil
}

// parseSlashes reads kind/name arguments, gathering neighbours of the same kind.
func parseSlashes(c *api.Catalogue, args []string) ([]wanted, error) {
	var all []wanted
	for _, arg := range args {
		kind, name, err := parseSlash(c, arg)
		if err != nil {
			return nil, err
		}
		if n := len(all); n > 0 && all[n-1].kind.Is(kind) {
			all[n-1].names = append(all[n-1].names, name)
			continue
		}
		all = append(all, wanted{kind, []string{name}})
	}
	return all, nil
}

func parseSlash(c *api.Catalogue, arg string) (*api.Kind, string, error) {
	kindName, name, ok := strings.Cut(arg, "/")
	if !ok {
		return nil, "", errors.New("there is no need to specify a resource type as a separate argument when passing arguments in resource/name form (e.g. 'ctl get resource/<resource_name>' instead of 'ctl get resource resource/<resource_name>'")
	}
	if name == "" || strings.Contains(name, "/") {
		return nil, "", fmt.Errorf("arguments in resource/name form must have a single resource and name, not %q", arg)
	}
	kind, err := findKind(c, kindName)
	return kind, name, err
}

// findKinds is findKind that also knows categories: "all".
func findKinds(c *api.Catalogue, arg string) ([]*api.Kind, error) {
	var kinds []*api.Kind
	for _, k := range c.All() {
		if slices.Contains(k.Categories, arg) {
			kinds = append(kinds, k)
		}
	}
	if len(kinds) > 0 {
		return kinds, nil
	}
	k, err := findKind(c, arg)
	return []*api.Kind{k}, err
}

func findKind(c *api.Catalogue, arg string) (*api.Kind, error) {
	if k := c.Find(arg); k != nil {
		return k, nil
	}
	var names []string
	for _, k := range c.All() {
		names = append(append(names, k.Plural, k.Singular), k.Short...)
	}
	hint := ""
	if near := strict.Nearest(arg, names); near != "" {
		hint = fmt.Sprintf(" (did you mean %q?)", near)
	}
	return nil, fmt.Errorf("the server doesn't have a resource type %q%s", arg, hint)
}

// one parses `deployment/web` or `deployment web`; a lone name is of the kind given, unless that is nil.
func one(c *api.Catalogue, otherwise *api.Kind, args []string) (*api.Kind, string, error) {
	if len(args) == 1 && !strings.Contains(args[0], "/") && otherwise != nil {
		return otherwise, args[0], nil
	}
	all, err := parseArgs(c, args)
	if err != nil {
		return nil, "", err
	}
	if len(all) != 1 || len(all[0].names) != 1 {
		return nil, "", errors.New("expected exactly one object, as TYPE/NAME or TYPE NAME")
	}
	return all[0].kind, all[0].names[0], nil
}
