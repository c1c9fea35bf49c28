package ctl

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	yamlnode "go.yaml.in/yaml/v3"

	"optimist/ctl/printer"
	"optimist/internal/pki"
)

func configCommand(s *session) *cobra.Command {
	raw, current := false, false
	none := exactly(0, "no arguments")
	view := &cobra.Command{Use: "view", Short: "Print the kubeconfig, without its secrets", Args: none, RunE: func(c *cobra.Command, _ []string) error {
		return s.view(c, raw)
	}}
	view.Flags().BoolVar(&raw, "raw", false, "With certificates and keys")
	set := &cobra.Command{Use: "set-context (NAME | --current) --namespace NAMESPACE", Short: "Set the namespace that a context begins in",
		ValidArgsFunction: s.completeContexts, RunE: func(c *cobra.Command, args []string) error {
			if current == (len(args) == 1) || len(args) > 1 {
				return usage(c, "expected either the name of one context or --current")
			}
			return s.setNamespace(c, append(args, s.context)[0])
		}}
	set.Flags().BoolVar(&current, "current", false, "The current context")
	return parent("config", "Look at and change the kubeconfig", view, set,
		&cobra.Command{Use: "get-contexts", Short: "List the contexts", Args: none, RunE: s.listContexts},
		&cobra.Command{Use: "current-context", Short: "Print the name of the current context", Args: none, RunE: s.currentContext},
		&cobra.Command{Use: "use-context NAME", Short: "Make a context the current one", Args: exactly(1, "the name of a context"),
			ValidArgsFunction: s.completeContexts, RunE: s.useContext})
}

// file is the kubeconfig to use: the flag's, else $KUBECONFIG, else ~/.kube/config. Of several it is the first that knows the context.
func (s *session) file() string {
	files := filepath.SplitList(os.Getenv("KUBECONFIG"))
	if s.kubeconfig != "" {
		files = []string{s.kubeconfig}
	} else if home, err := os.UserHomeDir(); err == nil && len(files) == 0 {
		files = []string{filepath.Join(home, ".kube", "config")}
	}
	for _, file := range files {
		all, _ := pki.ReadContexts(file) // one that cannot be read is not the one; if it is the only one, client.Load says why
		if _, ok := all.Find(s.context); ok {
			return file
		}
	}
	return append(files, "")[0]
}

// contextNamed finds a context ("" = the current one).
func (s *session) contextNamed(name string) (pki.Context, error) {
	all, err := pki.ReadContexts(s.file())
	x, ok := all.Find(name)
	switch {
	case err != nil || ok:
		return x, err
	case cmp.Or(name, all.Current) == "":
		return x, errors.New("current-context is not set")
	}
	return x, fmt.Errorf("no context exists with the name: %q", cmp.Or(name, all.Current))
}

func (s *session) currentContext(c *cobra.Command, _ []string) error {
	x, err := s.contextNamed("")
	if err == nil {
		fmt.Fprintln(c.OutOrStdout(), x.Name)
	}
	return err
}

func (s *session) useContext(c *cobra.Command, args []string) error {
	_, err := s.contextNamed(args[0])
	if err == nil {
		err = pki.SetCurrent(s.file(), args[0])
	}
	if err == nil {
		fmt.Fprintf(c.OutOrStdout(), "Switched to context %q.\n", args[0])
	}
	return err
}

// setNamespace takes the namespace from the root's flag: `ctl config set-context --current --namespace web`.
func (s *session) setNamespace(c *cobra.Command, name string) error {
	if s.namespace == "" {
		return usage(c, "--namespace says what to set")
	}
	x, err := s.contextNamed(name)
	if err == nil {
		err = pki.SetNamespace(s.file(), x.Name, s.namespace)
	}
	if err == nil {
		fmt.Fprintf(c.OutOrStdout(), "Context %q modified.\n", x.Name)
	}
	return err
}

func (s *session) listContexts(c *cobra.Command, _ []string) error {
	all, err := pki.ReadContexts(s.file())
	if err != nil {
		return err
	}
	var rows [][]any
	for _, x := range all.All {
		mark := ""
		if x.Name == all.Current {
			mark = "*"
		}
		rows = append(rows, []any{mark, x.Name, x.Cluster, x.User, x.Namespace})
	}
	return printer.Plain(c.OutOrStdout(), false, rows, "Current", "Name", "Cluster", "AuthInfo", "Namespace")
}

func (s *session) view(c *cobra.Command, raw bool) error {
	data, err := os.ReadFile(s.file())
	var document yamlnode.Node
	if err == nil && !raw {
		if err = yamlnode.Unmarshal(data, &document); err == nil {
			hide(&document)
			data, err = yamlnode.Marshal(&document)
		}
	}
	if err == nil {
		_, err = c.OutOrStdout().Write(data)
	}
	return err
}

var secrets = map[string]string{
	"certificate-authority-data": "DATA+OMITTED", "client-certificate-data": "DATA+OMITTED", "client-key-data": "DATA+OMITTED",
	"token": "REDACTED", "password": "REDACTED",
}

func hide(n *yamlnode.Node) {
	for i, child := range n.Content {
		if word := secrets[child.Value]; word != "" && n.Kind == yamlnode.MappingNode && i%2 == 0 {
			n.Content[i+1].SetString(word)
		}
		hide(child)
	}
}
