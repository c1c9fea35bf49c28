package informer

import "optimist/internal/api"

// The indexes that every kind has.
const (
	byNamespace = "namespace"
	byOwner     = "owner uid"
)

// index finds keys by a value that is computed from the object.
type index struct {
	values func(api.Object) []string
	keys   map[string]map[api.Key]struct{}
}

func (c *cache) addIndex(name string, values func(api.Object) []string) {
	ix := &index{values: values, keys: map[string]map[api.Key]struct{}{}}
	for key, e := range c.entries {
		ix.replace(key, nil, e.object)
	}
	c.indexes[name] = ix
}

func (ix *index) replace(key api.Key, old, new api.Object) {
	if old != nil {
		for _, v := range ix.values(old) {
			delete(ix.keys[v], key)
			if len(ix.keys[v]) == 0 {
				delete(ix.keys, v)
			}
		}
	}
	if new != nil {
		for _, v := range ix.values(new) {
			if ix.keys[v] == nil {
				ix.keys[v] = map[api.Key]struct{}{}
			}
			ix.keys[v][key] = struct{}{}
		}
	}
}
