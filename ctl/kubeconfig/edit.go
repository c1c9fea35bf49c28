package kubeconfig

import (
	"errors"
	"fmt"
	"os"

	yamlnode "go.yaml.in/yaml/v3"
)

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
