//go:build linux

package forgetful

import (
	"maps"
	"math/rand/v2"
	"slices"
)

// names are the entries of a folder.
type names struct {
	now    map[string]*node
	stable map[string]*node
	loose  map[string][]*node // by name: what it stood for since the last sync, the oldest first; nil = nothing
}

func newNames() names {
	return names{now: map[string]*node{}, stable: map[string]*node{}, loose: map[string][]*node{}}
}

// set makes a name stand for a node, or for nothing.
func (n *names) set(name string, to *node) {
	if n.now[name] = to; to == nil {
		delete(n.now, name)
	}
	n.loose[name] = append(n.loose[name], to)
}

func (n *names) sync() {
	n.stable = maps.Clone(n.now)
	clear(n.loose)
}

// lose makes what survives all names.
func (n *names) lose(random *rand.Rand, p float64) {
	left := maps.Clone(n.stable)
	for _, name := range slices.Sorted(maps.Keys(n.loose)) {
		if left[name] = survivor(random, p, n.stable[name], n.loose[name]); left[name] == nil {
			delete(left, name)
		}
	}
	*n = newNames()
	n.now, n.stable = left, maps.Clone(left)
}
