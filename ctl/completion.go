package ctl

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"optimist/internal/api"
	"optimist/internal/pki"
)

type completer = func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective)

func complete(c *cobra.Command, flag string, f completer) {
	if err := c.RegisterFlagCompletionFunc(flag, f); err != nil {
		panic(err) // the flag does not exist: a mistake in this package
	}
}

func beginning(words []string, typed string) ([]string, cobra.ShellCompDirective) {
	return slices.DeleteFunc(words, func(w string) bool { return !strings.HasPrefix(w, typed) }), cobra.ShellCompDirectiveNoFileComp
}

func words(all ...string) completer {
	return func(_ *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
		return beginning(slices.Clone(all), typed)
	}
}

// completeObjects completes kinds first, then names of that kind, and kind/name as one word.
func (s *session) completeObjects(c *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
	if kind, _, ok := strings.Cut(typed, "/"); ok {
		return beginning(s.names(c, api.Builtin.Find(kind), kind+"/"), typed)
	}
	if len(args) > 0 {
		return beginning(s.names(c, api.Builtin.Find(args[0]), ""), typed)
	}
	var kinds []string
	for _, k := range api.Builtin.Kept() {
		kinds = append(kinds, k.Plural)
	}
	return beginning(kinds, typed)
}

func (s *session) completeNames(k *api.Kind) completer {
	return func(c *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
		return beginning(s.names(c, k, ""), typed)
	}
}

// names asks the server. A shell waits for the answer, so it does not wait long, and hears of no errors.
func (s *session) names(c *cobra.Command, k *api.Kind, prefix string) (names []string) {
	if k == nil || s.connect() != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(cmp.Or(c.Context(), context.Background()), 2*time.Second) // cobra has no context while it completes
	defer cancel()
	list, _ := s.List(ctx, s.target(k, ""), api.ListOptions{Limit: page})
	for _, o := range list.Items {
		names = append(names, prefix+o.GetName())
	}
	return names
}

func (s *session) completeContexts(_ *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
	all, _ := pki.ReadContexts(s.file())
	var names []string
	for _, x := range all.All {
		names = append(names, x.Name)
	}
	return beginning(names, typed)
}
