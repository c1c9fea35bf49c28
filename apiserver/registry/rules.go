package registry

import (
	"context"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"optimist/apiserver/store"
	"optimist/internal/api"
)

// Rules is what is peculiar to a kind; everything that kinds have in common is code in this package. Nil functions mean "nothing peculiar".
// Package kinds has one file of Rules per kind.
type Rules struct {
	Kind *api.Kind
	// Default fills in what the author left out, as Kubernetes does. It must be idempotent.
	Default func(o api.Object)
	// Prepare makes a new state consistent before it is validated: on create (old == nil) it clears the status and sets what the system owns;
	// on an update of the main resource it restores what that may not touch (the registry already keeps status apart). sub is the subresource.
	Prepare func(ctx context.Context, sub string, o, old api.Object)
	// Validate returns every fault at once. old is nil on create.
	Validate func(sub string, o, old api.Object) field.ErrorList
	// Warnings names what is stored but not acted on yet, and what is deprecated.
	Warnings func(o api.Object) []string
	// Claims reserves what must be unique (addresses, ports, ranges): it looks at the store, may fill `after`, and returns guards and writes that join
	// the transaction; it is run again when that conflicts. before is nil on create, after is nil on removal.
	Claims func(ctx context.Context, c Claimer, before, after api.Object) (store.Txn, error)
	// Grace is the number of seconds that a deletion waits for the object's keeper (a Pod's agent); asked is the caller's wish or nil. 0 = remove at once.
	Grace func(o api.Object, asked *int64) int64
	// Fields can be selected with fieldSelector, and are indexed: metadata.name and metadata.namespace exist for every kind.
	Fields map[string]func(api.Object) string
	// Subs are the subresources other than "status" that are written through another kind's body (scale, binding).
	Subs map[string]Sub
	// Name checks names; nil = DNS-1123 subdomain.
	Name func(name string, prefix bool) []string
	// Columns print the kind in a table. The first is Name.
	Columns []Column
	// TTL is how long an object lives after its last write; 0 = for ever. Events last an hour.
	TTL func(o api.Object) time.Duration
}

// Claimer is what Claims may look at: the store, and the ranges that the cluster was set up with.
type Claimer struct {
	Store store.Store
	Ranges
}

// Sub is what a write of a subresource may change, and through which body: a Scale changes spec.replicas.
type Sub struct {
	New  func() api.Object                      // an empty body (autoscaling/v1 Scale, core/v1 Binding)
	Get  func(o api.Object) (api.Object, error) // the body as read from the object; nil = cannot be read
	Into func(body, o api.Object) error         // writes the body, of the type that New makes, into a copy of the object
	Verb api.Verb                               // "" = update and patch; VerbCreate for binding
}

// Column is one column of a printed table.
type Column struct {
	Name        string
	Type        string // string, integer, date …
	Wide        bool   // only with -o wide
	Description string
	Cell        func(o api.Object, now time.Time) any // string, int64, bool
}

// Definition is the column as metav1.Table describes it.
func (c Column) Definition() metav1.TableColumnDefinition {
	d := metav1.TableColumnDefinition{Name: c.Name, Type: c.Type, Description: c.Description}
	if c.Wide {
		d.Priority = 1
	}
	if c.Name == "Name" {
		d.Format = "name"
	}
	return d
}
