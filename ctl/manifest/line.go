package manifest

import (
	"strconv"
	"strings"

	yamlnode "go.yaml.in/yaml/v3"
)

// lineOf returns the line that a field stands on, or else that of the nearest parent that does exist.
func lineOf(root *yamlnode.Node, path string, otherwise int) int {
	if root == nil {
		return otherwise
	}
	for ; path != ""; path = parent(path) {
		if n := keyAt(root, path); n != nil {
			return n.Line
		}
	}
	return root.Line
}

func parent(path string) string {
	return path[:max(0, strings.LastIndexAny(path, ".["))]
}

// keyAt is nodeAt, but gives a field's name where nodeAt gives its value: a long value begins a line later.
func keyAt(root *yamlnode.Node, path string) *yamlnode.Node {
	if strings.HasSuffix(path, "]") {
		return nodeAt(root, path)
	}
	up := parent(path)
	key, _ := entry(nodeAt(root, up), strings.TrimPrefix(path[len(up):], "."))
	return key
}

// nodeAt follows a path like spec.containers[0].image; nil where it leads nowhere.
func nodeAt(n *yamlnode.Node, path string) *yamlnode.Node {
	for _, step := range strings.FieldsFunc(path, func(r rune) bool { return r == '.' || r == '[' }) {
		if index, ok := strings.CutSuffix(step, "]"); ok {
			n = item(n, index)
		} else {
			_, n = entry(n, step)
		}
	}
	return n
}

func item(n *yamlnode.Node, index string) *yamlnode.Node {
	i, err := strconv.Atoi(index)
	if n = resolved(n); err != nil || n == nil || n.Kind != yamlnode.SequenceNode || i >= len(n.Content) {
		return nil
	}
	return n.Content[i]
}

func entry(n *yamlnode.Node, name string) (key, value *yamlnode.Node) {
	if n = resolved(n); n == nil || n.Kind != yamlnode.MappingNode {
		return nil, nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == name {
			return n.Content[i], n.Content[i+1]
		}
	}
	return nil, nil
}

// resolved looks through a YAML alias.
func resolved(n *yamlnode.Node) *yamlnode.Node {
	if n != nil && n.Kind == yamlnode.AliasNode {
		return n.Alias
	}
	return n
}
