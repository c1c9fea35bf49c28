package api

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Kind is a row of the catalogue: everything that follows from what an object is called.
type Kind struct {
	Group      string // "" for core
	Name       string // Deployment
	Plural     string // deployments
	Singular   string // deployment
	Short      []string
	Categories []string // "all": listed by `ctl get all`
	Versions   []Version
	Namespaced bool
	Subs       []string // subresources, of them "status" also splits the object's writers
	Virtual    bool     // nothing is stored
	Verbs      []Verb   // that the kind itself answers to; nil = all but connect
	Stored     *Kind    // the kind of another group whose objects these are, in another form; nil = its own
}

// Version is one served form of a kind. The first of a kind is preferred, and is the stored one unless the kind is stored as another.
type Version struct {
	Name string
	New  func() Object
	// FromStored and ToStored make this form of the stored one and back, leaving their argument as it is; nil: this is the stored form.
	FromStored, ToStored func(Object) (Object, error)
}

// GroupKind identifies the kind; compare kinds by it.
func (k *Kind) GroupKind() schema.GroupKind { return schema.GroupKind{Group: k.Group, Kind: k.Name} }

// Is reports whether both are the same kind.
func (k *Kind) Is(o *Kind) bool { return k != nil && o != nil && k.GroupKind() == o.GroupKind() }

// Resource is the name that errors use: deployments.apps.
func (k *Kind) Resource() schema.GroupResource {
	return schema.GroupResource{Group: k.Group, Resource: k.Plural}
}

// String is the lower-case plural with its group: "deployments.apps", "pods".
func (k *Kind) String() string { return k.Resource().String() }

// GVK is the kind in a version; "" means the stored one.
func (k *Kind) GVK(version string) schema.GroupVersionKind {
	if version == "" {
		version = k.Versions[0].Name
	}
	return k.GroupKind().WithVersion(version)
}

// New returns an empty object of a served version ("" = the stored one), its apiVersion and kind set.
func (k *Kind) New(version string) (Object, error) {
	for _, v := range k.Versions {
		if version == "" || v.Name == version {
			o := v.New()
			o.GetObjectKind().SetGroupVersionKind(k.GVK(v.Name))
			return o, nil
		}
	}
	return nil, apierrors.NewBadRequest(fmt.Sprintf("%s is not served in version %q, but in %s", k, version, k.Versions[0].Name))
}

var allVerbs = []Verb{VerbCreate, VerbDelete, VerbDeleteCollection, VerbGet, VerbList, VerbPatch, VerbUpdate, VerbWatch}

// Can is what the kind itself answers to.
func (k *Kind) Can() []Verb {
	if k.Verbs == nil {
		return allVerbs
	}
	return k.Verbs
}

// HasSub reports whether the kind has the subresource.
func (k *Kind) HasSub(sub string) bool { return sub == "" || slices.Contains(k.Subs, sub) }

// NotFound, AlreadyExists, Conflict and Invalid are the API errors as they are worded for this kind.
func (k *Kind) NotFound(name string) error { return apierrors.NewNotFound(k.Resource(), name) }
func (k *Kind) AlreadyExists(name string) error {
	return apierrors.NewAlreadyExists(k.Resource(), name)
}
func (k *Kind) Conflict(name string, why error) error {
	return apierrors.NewConflict(k.Resource(), name, why)
}
func (k *Kind) Invalid(name string, faults field.ErrorList) error {
	return apierrors.NewInvalid(k.GroupKind(), name, faults)
}

// Catalogue is the set of kinds: immutable, swapped whole when custom kinds come.
type Catalogue struct {
	rows   []*Kind
	byGK   map[schema.GroupKind]*Kind
	byType map[reflect.Type]*Kind
	byArg  map[string]*Kind
}

// NewCatalogue indexes rows. Where two kinds share a name (events), the earlier row wins in Find.
func NewCatalogue(rows ...*Kind) *Catalogue {
	c := &Catalogue{rows: rows, byGK: map[schema.GroupKind]*Kind{}, byType: map[reflect.Type]*Kind{}, byArg: map[string]*Kind{}}
	for _, k := range rows {
		c.byGK[k.GroupKind()] = k
		for _, v := range k.Versions {
			c.byType[reflect.TypeOf(v.New())] = k
		}
		for _, name := range append([]string{k.Plural, k.Singular, strings.ToLower(k.Name)}, k.Short...) {
			for _, arg := range []string{name, name + "." + k.Group} {
				if c.byArg[arg] == nil {
					c.byArg[arg] = k
				}
			}
		}
	}
	return c
}

// All returns the rows in catalogue order; Kept those of them whose objects the store keeps as they are.
func (c *Catalogue) All() []*Kind { return c.rows }
func (c *Catalogue) Kept() (rows []*Kind) {
	for _, k := range c.rows {
		if !k.Virtual && k.Stored == nil {
			rows = append(rows, k)
		}
	}
	return rows
}

// Kind looks a kind up by its identity; nil if there is none.
func (c *Catalogue) Kind(gk schema.GroupKind) *Kind { return c.byGK[gk] }

// Of returns the kind of a typed object, or nil.
func (c *Catalogue) Of(o any) *Kind { return c.byType[reflect.TypeOf(o)] }

// Find resolves what a person types: "deployments", "deployment", "deploy", "Deployment", "deployments.apps", "deployments.v1.apps"; nil if unknown.
func (c *Catalogue) Find(arg string) *Kind {
	arg = strings.ToLower(arg)
	if k := c.byArg[arg]; k != nil {
		return k
	}
	if name, rest, ok := strings.Cut(arg, "."); ok { // resource.version.group
		version, group, _ := strings.Cut(rest, ".")
		if k := c.byArg[strings.TrimSuffix(name+"."+group, ".")]; k != nil && k.Group == group &&
			slices.ContainsFunc(k.Versions, func(v Version) bool { return v.Name == version }) {
			return k
		}
	}
	return nil
}
