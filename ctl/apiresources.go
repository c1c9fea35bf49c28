package ctl

import (
	"cmp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"optimist/ctl/printer"
	"optimist/internal/api"
)

func apiResourcesCommand(*session) *cobra.Command {
	columns := printer.Columns{}
	c := &cobra.Command{
		Use:   "api-resources",
		Short: "List the kinds of objects that there are",
		Args:  exactly(0, "no arguments"),
		RunE: func(c *cobra.Command, _ []string) error {
			return listKinds(printer.NewTable(c.OutOrStdout(), columns))
		},
	}
	c.Flags().BoolVar(&columns.NoHeaders, "no-headers", false, "Print no column headers")
	return c
}

func listKinds(t *printer.Table) error {
	kinds := slices.Clone(api.Builtin.All())
	slices.SortStableFunc(kinds, func(a, b *api.Kind) int {
		return cmp.Or(cmp.Compare(a.Group, b.Group), cmp.Compare(a.Plural, b.Plural))
	})
	var columns []metav1.TableColumnDefinition
	for _, name := range []string{"Name", "Shortnames", "APIVersion", "Namespaced", "Kind"} {
		columns = append(columns, metav1.TableColumnDefinition{Name: name})
	}
	var rows [][]any
	for _, k := range kinds {
		rows = append(rows, []any{k.Plural, strings.Join(k.Short, ","), k.GVK("").GroupVersion().String(), k.Namespaced, k.Name})
	}
	return t.Print(columns, make([]api.Object, len(rows)), rows)
}
