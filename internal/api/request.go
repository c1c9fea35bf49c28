package api

import (
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
)

// Verb is what is done to a target; the words are those of Kubernetes' RBAC.
type Verb string

const (
	VerbGet              Verb = "get"
	VerbList             Verb = "list"
	VerbWatch            Verb = "watch"
	VerbCreate           Verb = "create"
	VerbUpdate           Verb = "update"
	VerbPatch            Verb = "patch"
	VerbDelete           Verb = "delete"
	VerbDeleteCollection Verb = "deletecollection"
	VerbConnect          Verb = "connect"
)

// Target is what a request is about. In List, Watch and DeleteCollection the key's Name is "" and a Namespace of "" means all.
type Target struct {
	Kind    *Kind
	Version string // the version that the caller speaks; "" = the stored one
	Key     Key
	Sub     string // subresource: "", "status", "scale", "binding", "log", …
}

// Request is a write. Exactly one of Body, Raw and Patch is set for create, update and patch; none for deletes.
type Request struct {
	Target
	Verb  Verb
	Body  Object // typed; belongs to the callee
	Raw   *Raw   // undecoded: the registry decodes it strictly, so that unknown fields are seen
	Patch *Patch
	Options
}

// Raw is an object as bytes.
type Raw struct {
	MediaType string // "application/json" or "application/yaml"
	Data      []byte
}

// Patch is a change as a document. Types: types.JSONPatchType, MergePatchType, StrategicMergePatchType; ApplyYAMLPatchType is a server-side
// apply, which needs a Manager, and creates what is not there.
type Patch struct {
	Type types.PatchType
	Data []byte
}

// Options refine a write. The zero value is an ordinary write.
type Options struct {
	Manager     string // field manager; "" = untracked (native components)
	Force       bool   // an apply takes fields over that others own, instead of failing with Conflict
	DryRun      bool   // everything but the commit
	Validation  FieldValidation
	Pre         Preconditions
	Propagation metav1.DeletionPropagation // deletes: "" = the kind's default (Background)
	Grace       *int64                     // deletes: seconds; nil = the object's own
	Fence       *Fence
	Match       ListOptions // deletecollection: which
}

// TakeDelete takes in what the body of a DELETE or an Eviction asks for; nil asks for nothing.
func (o *Options) TakeDelete(d *metav1.DeleteOptions) (err error) {
	if d == nil {
		return nil
	}
	o.DryRun = o.DryRun || len(d.DryRun) > 0
	if d.GracePeriodSeconds != nil {
		o.Grace = d.GracePeriodSeconds
	}
	orphan := d.OrphanDependents //nolint:staticcheck // deprecated, and still sent
	switch {
	case d.PropagationPolicy != nil:
		o.Propagation = *d.PropagationPolicy
	case orphan != nil && *orphan:
		o.Propagation = metav1.DeletePropagationOrphan
	case orphan != nil:
		o.Propagation = metav1.DeletePropagationBackground
	}
	if p := d.Preconditions; p != nil && p.UID != nil {
		o.Pre.UID = *p.UID
	}
	if p := d.Preconditions; p != nil && p.ResourceVersion != nil {
		if o.Pre.Revision, err = ParseRevision(*p.ResourceVersion); err != nil {
			return apierrors.NewBadRequest(fmt.Sprintf("preconditions.resourceVersion: %q is not a revision", *p.ResourceVersion))
		}
	}
	return nil
}

// FieldValidation says what becomes of unknown and duplicate fields in Raw bodies and patches.
type FieldValidation string

const (
	Strict FieldValidation = "Strict" // refused; also the meaning of ""
	Warn   FieldValidation = "Warn"
	Ignore FieldValidation = "Ignore"
)

// Preconditions must hold or the write fails with Conflict. An update's body carries its resourceVersion as one more.
type Preconditions struct {
	UID      types.UID // "" = any
	Revision Revision  // 0 = any
}

// Fence lets a write through only while its author still holds a Lease (law 10): Epoch is the lease's spec.leaseTransitions at the time
// it was won, Holder its holder then.
type Fence struct {
	Lease  Key
	Holder string
	Epoch  int32
}

// Result is what a read or write of one object returns.
type Result struct {
	Object   Object
	Revision Revision
	Warnings []string
	Created  bool // by an apply
	Gone     bool // by a delete: it has removed the object (not on the native wire)
}

// View is how much of each object a list or watch returns.
type View string

const (
	Full  View = ""      // whole objects
	Table View = "Table" // whole objects and, beside each, its row of a printed table
	// Stored is Full for a list whose reader only passes it on: objects come as Raw where that is less work.
	Stored View = "Stored"
)

// GetOptions refine Get.
type GetOptions struct {
	At           Revision // as it was at this revision; 0 = now
	NotOlderThan Revision // 504 (cause ResourceVersionTooLarge) if this has not happened yet (not on the native wire)
}

// ListOptions select and page. Nil selectors select everything.
type ListOptions struct {
	Selector labels.Selector
	Fields   fields.Selector
	Limit    int64
	Continue string   // from the List before
	At       Revision // exactly as of this revision; 0 = now
	View     View

	NotOlderThan Revision // as in GetOptions
}

// List is one page.
type List struct {
	Items     []Object
	Raw       [][]byte                       // instead of Items, in View Stored, perhaps: each object in its own protobuf form
	Revision  Revision                       // what the answer is true for; a watch may begin after it
	Continue  string                         // "" = the last page
	Remaining int64                          // how many more there are, if known
	Columns   []metav1.TableColumnDefinition // View Table only, as is
	Rows      [][]any                        // the cells of each item: string, int64, float64 or bool
}

// WatchOptions say what to tell. With Initial the watch first yields what exists as Added events, then one Bookmark with InitialEnd; without
// it, it yields what happened after the revision After.
type WatchOptions struct {
	Selector     labels.Selector
	Fields       fields.Selector
	After        Revision
	Initial      bool
	NotOlderThan Revision // with Initial: what exists at this revision or later
	View         View
}

// EventType is what happened to an object, as seen through the watch's selectors.
type EventType string

const (
	Added    EventType = "ADDED"
	Modified EventType = "MODIFIED"
	Deleted  EventType = "DELETED"  // Object is its last state, with the revision of the deletion
	Bookmark EventType = "BOOKMARK" // no Object: everything up to Revision has been told
)

// Event is one change, or a Bookmark.
type Event struct {
	Type       EventType
	Object     Object
	Revision   Revision
	InitialEnd bool
	Cells      []any // View Table only
}
