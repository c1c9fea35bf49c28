package pki

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"sigs.k8s.io/yaml"
)

// Contexts is what a kubeconfig offers to choose from.
type Contexts struct {
	Current string
	All     []Context
}

// Context binds a cluster, a user and a namespace under a name.
type Context struct{ Name, Cluster, User, Namespace, Server string }

// ReadContexts reads what a kubeconfig offers; one that does not exist offers nothing.
func ReadContexts(path string) (Contexts, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Contexts{}, nil
	}
	var k kubeconfig
	if err == nil {
		err = yaml.Unmarshal(data, &k)
	}
	if err != nil {
		return Contexts{}, fmt.Errorf("kubeconfig %s: %w", path, err)
	}
	c := Contexts{Current: k.CurrentContext}
	for _, x := range k.Contexts {
		at, _ := find(k.Clusters, x.Context.Cluster)
		c.All = append(c.All, Context{x.Name, x.Context.Cluster, x.Context.User, x.Context.Namespace, at.Cluster.Server})
	}
	return c, nil
}

// Find returns a context by name; "" means the current one.
func (c Contexts) Find(name string) (Context, bool) {
	if name == "" {
		name = c.Current
	}
	for _, x := range c.All {
		if x.Name == name {
			return x, true
		}
	}
	return Context{}, false
}

// SetCurrent makes a context the current one.
func SetCurrent(path, context string) error {
	return edit(path, func(d document) error { return d.set(current, context) })
}

// SetNamespace sets the namespace that a context begins in.
func SetNamespace(path, context, namespace string) error {
	return edit(path, func(d document) error {
		all, err := d.list(contexts)
		for _, e := range all {
			if e.Name == context {
				var entry, body document
				return errors.Join(json.Unmarshal(e.raw, &entry), json.Unmarshal(entry["context"], &body), body.set("namespace", namespace),
					entry.set("context", body), d.put(contexts, context, entry))
			}
		}
		return err
	})
}
