package api

import (
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Entry is one write as the journal tells it: who did what to which object, when, and because of what (law 7).
type Entry struct {
	Revision Revision  `json:"revision"`
	Time     time.Time `json:"time"`
	User     string    `json:"user"`
	Manager  string    `json:"manager,omitempty"`
	Verb     Verb      `json:"verb"`
	Object   Ref       `json:"object"` // what the request named
	Sub      string    `json:"sub,omitempty"`
	Causes   Causes    `json:"causes"`
	Changed  []Changed `json:"changed,omitempty"` // what is different since
}

// Changed is what a write did to one key of the store.
type Changed struct {
	Key    string   `json:"key"`
	Object Ref      `json:"object"`        // zero for what is no object: claims, epochs
	Was    Revision `json:"was,omitempty"` // that wrote what was there before; 0 = nothing was
	Gone   bool     `json:"gone,omitempty"`
}

// Ref names an object in plain words, wherever it is.
type Ref struct {
	Group     string `json:"group,omitempty"`
	Kind      string `json:"kind"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name,omitempty"`
}

// Key names the object among those of its kind.
func (r Ref) Key() Key { return Key{Namespace: r.Namespace, Name: r.Name} }

// GroupKind identifies the object's kind.
func (r Ref) GroupKind() schema.GroupKind { return schema.GroupKind{Group: r.Group, Kind: r.Kind} }
