package manifest

import (
	"fmt"

	"optimist/internal/api"
	"optimist/internal/strict"
)

func suggestKind(c *api.Catalogue, name string) string {
	var names []string
	for _, k := range c.All() {
		names = append(names, k.Name)
	}
	near := strict.Nearest(name, names)
	for _, k := range c.All() {
		if k.Name == near {
			return fmt.Sprintf(" (did you mean %q in version %q?)", near, k.GVK("").GroupVersion())
		}
	}
	return "; `ctl api-resources` lists what there is"
}
