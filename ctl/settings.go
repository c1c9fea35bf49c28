package ctl

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/labels"

	"optimist/ctl/printer"
	"optimist/internal/api"
)

type kindList struct {
	output, sortBy, group string
	verbs, categories     []string
	namespaced, noHeaders bool
}

func apiResourcesCommand() *cobra.Command {
	l := kindList{}
	c := &cobra.Command{Use: "api-resources", Short: "List the kinds of objects that there are", Args: exactly(0, "no arguments"),
		RunE: func(c *cobra.Command, _ []string) error {
			if err := cmp.Or(oneOf("--output %s is not available: wide and name are", l.output, "", "wide", "name"),
				oneOf("--sort-by=%s: it accepts only name or kind", l.sortBy, "", "name", "kind")); err != nil {
				return usageError(c, err)
			}
			return l.print(c)
		}}
	f := c.Flags()
	f.BoolVar(&l.noHeaders, "no-headers", false, "Print no column headers")
	f.StringVarP(&l.output, "output", "o", "", "wide: with verbs and categories; name: names alone")
	f.StringVar(&l.sortBy, "sort-by", "", "By name or kind, instead of by group")
	f.StringVar(&l.group, "api-group", "", "Only those of a group")
	f.BoolVar(&l.namespaced, "namespaced", true, "Only those that live in namespaces, or only those that do not")
	f.StringSliceVar(&l.verbs, "verbs", nil, "Only those that have all these verbs")
	f.StringSliceVar(&l.categories, "categories", nil, "Only those of all these categories")
	return c
}

func (l kindList) print(c *cobra.Command) error {
	var rows [][]any
	for _, k := range slices.SortedStableFunc(slices.Values(api.Builtin.All()), l.compare) {
		var verbs []string
		for _, v := range k.Can() {
			verbs = append(verbs, string(v))
		}
		if f := c.Flags(); len(verbs) == 0 || f.Changed("api-group") && k.Group != l.group || f.Changed("namespaced") && k.Namespaced != l.namespaced ||
			!all(verbs, l.verbs) || !all(k.Categories, l.categories) {
			continue
		}
		if l.output == "name" {
			fmt.Fprintln(c.OutOrStdout(), k)
		}
		rows = append(rows, []any{k.Plural, strings.Join(k.Short, ","), k.GVK("").GroupVersion().String(), k.Namespaced, k.Name, strings.Join(verbs, ","), strings.Join(k.Categories, ",")})
	}
	columns := []string{"Name", "Shortnames", "APIVersion", "Namespaced", "Kind", "Verbs", "Categories"}
	if l.output == "" {
		columns = columns[:5]
	}
	if l.output == "name" {
		return nil
	}
	return printer.Plain(c.OutOrStdout(), l.noHeaders, rows, columns...)
}

func (l kindList) compare(a, b *api.Kind) int {
	by := map[string]func(k *api.Kind) string{"": func(k *api.Kind) string { return k.Group }, "name": func(k *api.Kind) string { return k.Plural }, "kind": func(k *api.Kind) string { return k.Name }}[l.sortBy]
	return cmp.Or(cmp.Compare(by(a), by(b)), cmp.Compare(a.Plural, b.Plural))
}

func all(have, want []string) bool {
	return !slices.ContainsFunc(want, func(w string) bool { return !slices.Contains(have, w) })
}

func apiVersionsCommand() *cobra.Command {
	return &cobra.Command{Use: "api-versions", Short: "List the versions of the API, as group/version", Args: exactly(0, "no arguments"),
		RunE: func(c *cobra.Command, _ []string) error {
			all := map[string]bool{}
			for _, k := range api.Builtin.All() {
				for _, v := range k.Versions {
					all[k.GVK(v.Name).GroupVersion().String()] = true
				}
			}
			_, err := fmt.Fprintln(c.OutOrStdout(), strings.Join(slices.Sorted(maps.Keys(all)), "\n"))
			return err
		}}
}

func clusterInfoCommand(s *session) *cobra.Command {
	return &cobra.Command{Use: "cluster-info", Short: "Tell where the cluster's API server and its own Services are",
		Args: exactly(0, "no arguments"), RunE: func(c *cobra.Command, _ []string) error {
			x, _ := s.contextNamed(s.context)
			at := cmp.Or(x.Server, "this process")
			own, err := api.Services.List(c.Context(), s, "kube-system", api.ListOptions{Selector: labels.SelectorFromSet(labels.Set{"kubernetes.io/cluster-service": "true"})})
			if err != nil {
				return err
			}
			fmt.Fprintf(c.OutOrStdout(), "Kubernetes control plane is running at %s\n", at)
			for _, o := range own {
				name, way := cmp.Or(o.Labels["kubernetes.io/name"], o.Name), o.Name
				if len(o.Spec.Ports) > 0 && o.Spec.Ports[0].Name != "" {
					way += ":" + o.Spec.Ports[0].Name
				}
				fmt.Fprintf(c.OutOrStdout(), "%s is running at %s/api/v1/namespaces/kube-system/services/%s/proxy\n", name, at, way)
			}
			return nil
		}}
}

// kubernetesVersion is the version of Kubernetes whose objects and semantics these are.
const kubernetesVersion = "v1.37"

func versionCommand(s *session) *cobra.Command {
	clientOnly := false
	c := &cobra.Command{Use: "version", Short: "Print this program's version, and whether the server can be reached",
		Args: exactly(0, "no arguments"), RunE: func(c *cobra.Command, _ []string) error {
			fmt.Fprintf(c.OutOrStdout(), "Client Version: %s\nKubernetes API: %s\n", ownVersion(), kubernetesVersion)
			if clientOnly {
				return nil
			}
			return s.serverVersion(c)
		}}
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
