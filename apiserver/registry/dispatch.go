package registry

import (
	"maps"
	"slices"
)

// dispatch hands a change to the watchers that it may concern, to each once.
func (c *cache) dispatch(next *change) {
	for w := range c.all {
		w.offer(next)
	}
	if len(c.byValue) == 0 {
		return
	}
	var told []equality
	for _, s := range []*state{next.before, next.after} {
		if s == nil {
			continue
		}
		for _, e := range append(c.equalities(s), equality{on: true, field: fieldName, value: s.key.Name}) {
			if slices.Contains(told, e) {
				continue
			}
			told = append(told, e)
			for w := range c.byValue[e] {
				w.offer(next)
			}
		}
	}
}

func (c *cache) watchers() map[*watcher]bool {
	all := maps.Clone(c.all)
	for _, some := range c.byValue {
		maps.Copy(all, some)
	}
	return all
}
