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
