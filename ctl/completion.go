package ctl

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"optimist/ctl/kubeconfig"
	"optimist/internal/api"
)

type completer = func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective)

func completionCommand() *cobra.Command {
	return &cobra.Command{
		Use:       "completion bash|zsh|fish",
		Short:     "Print the script that completes ctl's commands in a shell",
		Example:   "  source <(ctl completion bash)",
		ValidArgs: []string{"bash", "zsh", "fish"},
		Args:      exactly(1, "the name of a shell"),
		RunE: func(c *cobra.Command, args []string) error {
			switch out := c.OutOrStdout(); args[0] {
			case "bash":
				return c.Root().GenBashCompletionV2(out, true)
			case "zsh":
				return c.Root().GenZshCompletion(out)
			case "fish":
				return c.Root().GenFishCompletion(out, true)
			}
			return usage(c, "unsupported shell type %q", args[0])
		},
	}
}

// complete attaches a completer to a flag.
func complete(c *cobra.Command, flag string, f completer) {
	if err := c.RegisterFlagCompletionFunc(flag, f); err != nil {
		panic(err) // the flag does not exist: a mistake in this package
	}
}

// completeObjects completes kinds first, then names of that kind, and kind/name as one word.
func (s *session) completeObjects(c *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
	if kindName, _, ok := strings.Cut(typed, "/"); ok {
		k := api.Builtin.Find(kindName)
		if k == nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return s.names(c, k, kindName+"/", typed), cobra.ShellCompDirectiveNoFileComp
	}
	if len(args) > 0 {
		if k := api.Builtin.Find(args[0]); k != nil {
			return s.names(c, k, "", typed), cobra.ShellCompDirectiveNoFileComp
		}
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var kinds []string
	for _, k := range api.Builtin.All() {
		if !k.Virtual && strings.HasPrefix(k.Plural, typed) {
			kinds = append(kinds, k.Plural)
		}
	}
	return kinds, cobra.ShellCompDirectiveNoFileComp
}

// completeNames completes the names of one kind, once.
func (s *session) completeNames(k *api.Kind) completer {
	return func(c *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 && c.Flags().Lookup("namespace") == nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return s.names(c, k, "", typed), cobra.ShellCompDirectiveNoFileComp
	}
}

// names asks the server. A shell waits for the answer, so it does not wait long.
func (s *session) names(c *cobra.Command, k *api.Kind, prefix, typed string) []string {
	service, err := s.connect()
	if err != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(commandContext(c), 2*time.Second)
	defer cancel()
	list, err := service.List(ctx, s.target(k, ""), api.ListOptions{Limit: 500})
	if err != nil {
		return nil
	}
	var names []string
	for _, o := range list.Items {
		if name := prefix + o.GetName(); strings.HasPrefix(name, typed) {
			names = append(names, name)
		}
	}
	return names
}

// commandContext is the command's context; cobra leaves it nil while completing.
func commandContext(c *cobra.Command) context.Context {
	if ctx := c.Context(); ctx != nil {
		return ctx
	}
	return context.Background()
}

func (s *session) completeContexts(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	config, err := kubeconfig.Read(s.file())
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	for _, x := range config.Contexts {
		names = append(names, x.Name)
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
