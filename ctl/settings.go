package ctl

import (
	"cmp"
	"context"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"optimist/ctl/printer"
	"optimist/internal/api"
)

func apiResourcesCommand() *cobra.Command {
	noHeaders := false
	c := &cobra.Command{
		Use:   "api-resources",
		Short: "List the kinds of objects that there are",
		Args:  exactly(0, "no arguments"),
		RunE: func(c *cobra.Command, _ []string) error {
			var rows [][]any
			for _, k := range slices.SortedStableFunc(slices.Values(api.Builtin.All()), func(a, b *api.Kind) int {
				return cmp.Or(cmp.Compare(a.Group, b.Group), cmp.Compare(a.Plural, b.Plural))
			}) {
				rows = append(rows, []any{k.Plural, strings.Join(k.Short, ","), k.GVK("").GroupVersion().String(), k.Namespaced, k.Name})
			}
			return printer.Plain(c.OutOrStdout(), noHeaders, rows, "Name", "Shortnames", "APIVersion", "Namespaced", "Kind")
		},
	}
	c.Flags().BoolVar(&noHeaders, "no-headers", false, "Print no column headers")
	return c
}

// kubernetesVersion is the version of Kubernetes whose objects and semantics these are.
const kubernetesVersion = "v1.37"

func versionCommand(s *session) *cobra.Command {
	clientOnly := false
	c := &cobra.Command{
		Use:   "version",
		Short: "Print this program's version, and whether the server can be reached",
		Args:  exactly(0, "no arguments"),
		RunE: func(c *cobra.Command, _ []string) error {
			fmt.Fprintf(c.OutOrStdout(), "Client Version: %s\nKubernetes API: %s\n", ownVersion(), kubernetesVersion)
			if clientOnly {
				return nil
			}
			return s.serverVersion(c)
		},
	}
	c.Flags().BoolVar(&clientOnly, "client", false, "Do not ask the server")
	return c
}

func (s *session) serverVersion(c *cobra.Command) error {
	if err := s.connect(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(c.Context(), 5*time.Second)
	defer cancel()
	revision, err := s.Now(ctx)
	if err != nil {
		return err
	}
	x, _ := s.contextNamed(s.context)
	fmt.Fprintf(c.OutOrStdout(), "Server: %s (reachable, at revision %d)\n", cmp.Or(x.Server, "in this process"), revision)
	return nil
}

// ownVersion is the module's version, or that which the Go tool made of the commit.
func ownVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	return info.Main.Version
}
