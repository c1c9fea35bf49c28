package ctl

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"optimist/ctl/kubeconfig"
	"optimist/ctl/printer"
	"optimist/internal/api"
)

func configCommand(s *session) *cobra.Command {
	return parent("config", "Look at and change the kubeconfig", configView(s), getContexts(s), currentContext(s), useContext(s), setContext(s))
}

func configView(s *session) *cobra.Command {
	raw := false
	c := &cobra.Command{
		Use:   "view",
		Short: "Print the kubeconfig, without its secrets",
		Args:  exactly(0, "no arguments"),
		RunE: func(c *cobra.Command, _ []string) error {
			data, err := os.ReadFile(s.file())
			if err != nil {
				return err
			}
			if !raw {
				if data, err = kubeconfig.Redact(data); err != nil {
					return err
				}
			}
			_, err = c.OutOrStdout().Write(data)
			return err
		},
	}
	c.Flags().BoolVar(&raw, "raw", false, "With certificates and keys")
	return c
}

func currentContext(s *session) *cobra.Command {
	return &cobra.Command{
		Use:   "current-context",
		Short: "Print the name of the current context",
		Args:  exactly(0, "no arguments"),
		RunE: func(c *cobra.Command, _ []string) error {
			config, err := kubeconfig.Read(s.file())
			if err == nil && config.CurrentContext == "" {
				err = errors.New("current-context is not set")
			}
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(c.OutOrStdout(), config.CurrentContext)
			return err
		},
	}
}

func useContext(s *session) *cobra.Command {
	return &cobra.Command{
		Use:               "use-context NAME",
		Short:             "Make a context the current one",
		Args:              exactly(1, "the name of a context"),
		ValidArgsFunction: s.completeContexts,
		RunE: func(c *cobra.Command, args []string) error {
			if err := kubeconfig.UseContext(s.file(), args[0]); err != nil {
				return err
			}
			_, err := fmt.Fprintf(c.OutOrStdout(), "Switched to context %q.\n", args[0])
			return err
		},
	}
}

// setContext takes the namespace from the root's flag: `ctl config set-context --current --namespace web`.
func setContext(s *session) *cobra.Command {
	current := false
	c := &cobra.Command{
		Use:               "set-context (NAME | --current) --namespace NAMESPACE",
		Short:             "Set the namespace that a context begins in",
		ValidArgsFunction: s.completeContexts,
		RunE: func(c *cobra.Command, args []string) error {
			if current == (len(args) == 1) || len(args) > 1 {
				return usage(c, "expected either the name of one context or --current")
			}
			if s.namespace == "" {
				return usage(c, "--namespace says what to set")
			}
			name, err := kubeconfig.SetNamespace(s.file(), slices.Concat(args, []string{s.context})[0], s.namespace)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(c.OutOrStdout(), "Context %q modified.\n", name)
			return err
		},
	}
	c.Flags().BoolVar(&current, "current", false, "The current context")
	return c
}

func getContexts(s *session) *cobra.Command {
	return &cobra.Command{
		Use:   "get-contexts",
		Short: "List the contexts",
		Args:  exactly(0, "no arguments"),
		RunE: func(c *cobra.Command, _ []string) error {
			config, err := kubeconfig.Read(s.file())
			if err != nil {
				return err
			}
			return listContexts(printer.NewTable(c.OutOrStdout(), printer.Columns{}), config)
		},
	}
}

func listContexts(t *printer.Table, config kubeconfig.Config) error {
	var columns []metav1.TableColumnDefinition
	for _, name := range []string{"Current", "Name", "Cluster", "AuthInfo", "Namespace"} {
		columns = append(columns, metav1.TableColumnDefinition{Name: name})
	}
	var rows [][]any
	for _, x := range config.Contexts {
		mark := ""
		if x.Name == config.CurrentContext {
			mark = "*"
		}
		rows = append(rows, []any{mark, x.Name, x.Context.Cluster, x.Context.User, x.Context.Namespace})
	}
	return t.Print(columns, make([]api.Object, len(rows)), rows)
}
