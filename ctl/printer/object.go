package printer

import "optimist/internal/api"

// Item is an object to print and its kind.
type Item struct {
	Kind   *api.Kind
	Object api.Object
}

// Name is pod/web or deployment.apps/web.
func (i Item) Name() string { return Named(i.Kind, i.Object.GetName()) }

// Named is pod/web or deployment.apps/web.
func Named(k *api.Kind, name string) string { return Singular(k) + "/" + name }

// Singular is pod or deployment.apps.
func Singular(k *api.Kind) string {
	if k.Group == "" {
		return k.Singular
	}
	return k.Singular + "." + k.Group
}
