package manifest

import (
	"strconv"
	"strings"

	yamlnode "go.yaml.in/yaml/v3"
)

// lineOf returns the line that a field stands on, or else that of the nearest parent that does exist. A field stands where its name does: a
// long value begins a line later.
func lineOf(root *yamlnode.Node, path string, otherwise int) int {
	for ; root != nil; path = path[:strings.LastIndexAny(path, ".[")] {
		if key, _ := follow(root, path); key != nil {
			return key.Line
		}
		if !strings.ContainsAny(path, ".[") {
			return root.Line
		}
	}
	return otherwise
}

func nodeAt(root *yamlnode.Node, path string) *yamlnode.Node {
	_, n := follow(root, path)
	return n
}

// follow walks a path like spec.containers[0].image: to the name of the last field (an item has none but itself) and to its value. Both are nil
// where the path leads nowhere.
func follow(n *yamlnode.Node, path string) (key, value *yamlnode.Node) {
	key, value = n, n
	for _, step := range strings.FieldsFunc(path, func(r rune) bool { return r == '.' || r == '[' }) {
		if value != nil && value.Kind == yamlnode.AliasNode {
			value = value.Alias
		}
		if index, ok := strings.CutSuffix(step, "]"); ok {
			value = item(value, index)
			key = value
		} else {
			key, value = entry(value, step)
		}
	}
	return key, value
}

func item(n *yamlnode.Node, index string) *yamlnode.Node {
	i, err := strconv.Atoi(index)
	if err != nil || n == nil || n.Kind != yamlnode.SequenceNode || i >= len(n.Content) {
		return nil
	}
	return n.Content[i]
}

func entry(n *yamlnode.Node, name string) (key, value *yamlnode.Node) {
	for i := 0; n != nil && n.Kind == yamlnode.MappingNode && i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == name {
			return n.Content[i], n.Content[i+1]
		}
	}
	return nil, nil
}
