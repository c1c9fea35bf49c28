// Package kubeconfig reads and edits the file that says which clusters there are: the same file and rules as kubectl's.
//
// Reading is typed; editing works on the file's own YAML nodes, so that whatever other tools keep there (comments too) survives. The
// connection itself is made by internal/client, which reads the same file for certificates.
//
// kubectl merges all files of $KUBECONFIG into one; here the first that knows the wanted context is used whole.
package kubeconfig

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	yamlnode "go.yaml.in/yaml/v3"
	"sigs.k8s.io/yaml"
)

// Config is what ctl itself needs of a kubeconfig.
type Config struct {
	CurrentContext string    `json:"current-context"`
	Contexts       []Context `json:"contexts"`
	Clusters       []Cluster `json:"clusters"`
}

// Context binds a cluster, a user and a namespace under a name.
type Context struct {
	Name    string `json:"name"`
	Context struct {
		Cluster   string `json:"cluster"`
		User      string `json:"user"`
		Namespace string `json:"namespace"`
	} `json:"context"`
}

// Cluster says where a cluster is.
type Cluster struct {
	Name    string `json:"name"`
	Cluster struct {
		Server string `json:"server"`
	} `json:"cluster"`
}

// Path returns the file to use: flag, else $KUBECONFIG, else ~/.kube/config. Of several it is the first that knows the context ("" = any).
func Path(flag, context string) string {
	if flag != "" {
		return flag
	}
	files := filepath.SplitList(os.Getenv("KUBECONFIG"))
	for _, file := range files {
		if c, err := Read(file); err == nil && c.knows(context) {
			return file
		}
	}
	if len(files) > 0 {
		return files[0]
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return ""
	}
	return filepath.Join(home, ".kube", "config")
}

// Read reads a file; one that does not exist is empty.
func Read(file string) (Config, error) {
	var c Config
	data, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return c, nil
	}
	if err != nil {
		return c, err
	}
	if err := yaml.Unmarshal(data, &c); err != nil {
		return c, fmt.Errorf("kubeconfig %s: %w", file, err)
	}
	return c, nil
}

func (c Config) knows(context string) bool {
	if context == "" {
		return c.CurrentContext != ""
	}
	_, ok := c.Context(context)
	return ok
}

// Context finds a context by name; "" means the current one.
func (c Config) Context(name string) (Context, bool) {
	if name == "" {
		name = c.CurrentContext
	}
	for _, x := range c.Contexts {
		if x.Name == name {
			return x, true
		}
	}
	return Context{}, false
}

// Server is the address of the cluster that a context ("" = the current) names, or "".
func (c Config) Server(context string) string {
	x, _ := c.Context(context)
	for _, cluster := range c.Clusters {
		if cluster.Name == x.Context.Cluster {
			return cluster.Cluster.Server
		}
	}
	return ""
}

// UseContext makes a context the current one.
func UseContext(file, name string) error {
	return edit(file, func(root *yamlnode.Node) error {
		if find(root, name) == nil {
			return fmt.Errorf("no context exists with the name: %q", name)
		}
		set(root, "current-context", name)
		return nil
	})
}

// SetNamespace sets the namespace that a context ("" = the current) begins in. It returns the context's name.
func SetNamespace(file, name, namespace string) (string, error) {
	c, err := Read(file)
	if err != nil {
		return "", err
	}
	if name == "" {
		name = c.CurrentContext
	}
	if name == "" {
		return "", errors.New("no current context is set")
	}
	return name, edit(file, func(root *yamlnode.Node) error {
		context := find(root, name)
		if context == nil {
			return fmt.Errorf("no context exists with the name: %q", name)
		}
		body := value(context, "context")
		if body == nil {
			return fmt.Errorf("kubeconfig %s: context %q is empty", file, name)
		}
		set(body, "namespace", namespace)
		return nil
	})
}

// edit changes a file's nodes in place; readers see the old file or the new one.
func edit(file string, change func(root *yamlnode.Node) error) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var document yamlnode.Node
	if err := yamlnode.Unmarshal(data, &document); err != nil {
		return fmt.Errorf("kubeconfig %s: %w", file, err)
	}
	if len(document.Content) == 0 {
		return fmt.Errorf("kubeconfig %s is empty", file)
	}
	if err := change(document.Content[0]); err != nil {
		return err
	}
	if data, err = yamlnode.Marshal(&document); err != nil {
		return err
	}
	temporary := file + ".new"
	if err := os.WriteFile(temporary, data, 0o600); err != nil {
		return err
	}
	return os.Rename(temporary, file)
}

// find returns the node of a context.
func find(root *yamlnode.Node, name string) *yamlnode.Node {
	contexts := value(root, "contexts")
	if contexts == nil {
		return nil
	}
	for _, c := range contexts.Content {
		if n := value(c, "name"); n != nil && n.Value == name {
			return c
		}
	}
	return nil
}

func value(n *yamlnode.Node, key string) *yamlnode.Node {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}

func set(n *yamlnode.Node, key, text string) {
	v := value(n, key)
	if v == nil {
		v = &yamlnode.Node{}
		n.Content = append(n.Content, &yamlnode.Node{Kind: yamlnode.ScalarNode, Value: key}, v)
	}
	v.SetString(text)
}
