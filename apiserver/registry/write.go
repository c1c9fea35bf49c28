package registry

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"optimist/apiserver/store"
	"optimist/internal/api"
	wire "optimist/proto"
)

// maxObject is the size of the largest stored object, that of etcd.
const maxObject = 3 << 19 // 1.5 MiB

// maxAttempts bounds how often a write is tried again because another one came first.
const maxAttempts = 64

var errModified = errors.New("the object has been modified; please apply your changes to the latest version and try again")

// Write implements api.Service. The pipeline is the same for every kind; see doc.go.
func (r *Registry) Write(ctx context.Context, req api.Request) (api.Result, error) {
	w, err := r.accept(ctx, req)
	if err != nil {
		return api.Result{}, err
	}
	res, err := w.run(ctx)
	if err == nil && res.Object != nil {
		res.Object, err = w.show(w.Version, res.Object)
	}
	return res, err
}

func (w *write) run(ctx context.Context) (api.Result, error) {
	switch {
	case w.Verb == api.VerbCreate && w.Sub == "":
		return w.create(ctx)
	case w.Verb == api.VerbCreate && w.Sub == "eviction":
		return w.evict(ctx)
	case w.Verb == api.VerbCreate, w.Verb == api.VerbUpdate, w.Verb == api.VerbPatch:
		return w.update(ctx)
	case w.Verb == api.VerbDelete:
		return w.delete(ctx)
	case w.Verb == api.VerbDeleteCollection:
		return w.registry.deleteCollection(ctx, w)
	}
	return api.Result{}, apierrors.NewMethodNotSupported(w.Resource(), string(w.Verb))
}

// accept checks what can be checked without looking at any object.
func (r *Registry) accept(ctx context.Context, req api.Request) (*write, error) {
	k, err := r.stored(req.Target, req.Verb)
	if err != nil {
		return nil, err
	}
	switch req.Validation {
	case "", api.Strict, api.Warn, api.Ignore:
	default:
		return nil, apierrors.NewBadRequest(fmt.Sprintf("fieldValidation must be Strict, Warn or Ignore, not %q", req.Validation))
	}
	if err := checkManager(req); err != nil {
		return nil, err
	}
	if req.Verb != api.VerbDeleteCollection {
		if err := k.checkKey(req.Key, req.Verb == api.VerbCreate && req.Sub == ""); err != nil {
			return nil, err
		}
	}
	if req.Fence == nil {
		req.Fence = api.FenceFrom(ctx)
	}
	return &write{registry: r, resource: k, Request: req}, nil
}

// write is one request on its way through the pipeline.
type write struct {
	registry *Registry
	*resource
	api.Request
	warnings []string
}

// retry runs an attempt until it no longer conflicts with somebody else's write. What a conflict disproves is forgotten.
func (w *write) retry(ctx context.Context, attempt func(context.Context) (api.Result, error)) (api.Result, error) {
	found := w.warnings
	for range maxAttempts {
		w.warnings = found
		res, err := attempt(ctx)
		conflict, ok := errors.AsType[*store.Conflict](err)
		if !ok {
			res.Warnings = w.warnings
			return res, storeError(err)
		}
		w.registry.namespaces.forget(conflict.Key)
		w.registry.epochs.forget(conflict.Key)
	}
	return api.Result{}, w.Conflict(w.Key.Name, errors.New("others kept changing what this write depends on; try again"))
}

// finish takes a decoded object through the rest of the pipeline: mutate, default again, prepare, validate, check, claim. The guards and
// writes that must join its transaction are added to txn. old is nil on create.
func (w *write) finish(ctx context.Context, o, old api.Object, txn *store.Txn) error {
	if err := w.mutate(ctx, o, old); err != nil {
		return err
	}
	if w.rules.Prepare != nil {
		w.rules.Prepare(ctx, w.Sub, o, old)
	}
	if old == nil {
		beginNamespace(o)
	}
	if err := w.registry.holdLease(ctx, w, o, old, txn); err != nil {
		return err
	}
	faults := w.checkMeta(o, old)
	if w.rules.Validate != nil {
		faults = append(faults, w.rules.Validate(w.Sub, o, old)...)
	}
	if len(faults) > 0 {
		return w.Invalid(o.GetName(), faults)
	}
	if err := w.check(ctx, o, old); err != nil {
		return err
	}
	if w.rules.Warnings != nil && w.Sub == "" {
		w.warnings = slices.Concat(w.warnings, w.rules.Warnings(o))
	}
	if err := w.claim(ctx, old, o, txn); err != nil {
		return err
	}
	if old != nil && w.counted() && !w.sameSpec(o, old) {
		o.SetGeneration(old.GetGeneration() + 1)
	}
	return nil
}

func (w *write) mutate(ctx context.Context, o, old api.Object) error {
	for _, m := range w.registry.options.Mutators {
		if err := m.Mutate(ctx, w.Request, o, old); err != nil {
			return err
		}
	}
	if len(w.registry.options.Mutators) > 0 && o != nil {
		w.defaults(o)
	}
	return nil
}

func (w *write) check(ctx context.Context, o, old api.Object) error {
	for _, c := range w.registry.options.Checkers {
		if err := c.Check(ctx, w.Request, o, old); err != nil {
			return err
		}
	}
	return nil
}

func (w *write) claim(ctx context.Context, before, after api.Object, txn *store.Txn) error {
	if w.rules.Claims == nil {
		return nil
	}
	claimer := Claimer{Store: w.registry.store, Ranges: w.registry.options.Ranges}
	claims, err := w.rules.Claims(ctx, claimer, before, after)
	txn.If = append(txn.If, claims.If...)
	txn.Do = append(txn.Do, claims.Do...)
	return err
}

// commit writes payload (nil = removal) under the guard's key, together with what has joined the transaction, unless this is a dry run.
func (w *write) commit(ctx context.Context, o api.Object, g store.Guard, payload []byte, txn store.Txn) (api.Result, error) {
	if len(payload) > maxObject {
		return api.Result{}, apierrors.NewRequestEntityTooLargeError(fmt.Sprintf("%s %q is %d bytes long; at most %d are allowed", w.Kind, o.GetName(), len(payload), maxObject))
	}
	fence, err := w.registry.fence(ctx, w)
	if err != nil {
		return api.Result{}, err
	}
	op := store.Op{Key: g.Key}
	if payload != nil {
		op.Value = w.seal(g.Key, payload)
	}
	txn.If = append(append(txn.If, g), fence...)
	txn.Do = append(txn.Do, op)
	revision := g.Mod
	if w.DryRun {
		err = w.rehearse(ctx, g)
	} else {
		txn.Note = note(ctx, w.Request, o.GetName())
		revision, err = w.registry.store.Commit(ctx, txn)
	}
	if err != nil {
		return api.Result{}, err
	}
	o.SetResourceVersion(api.Revision(revision).String())
	return api.Result{Object: o, Revision: api.Revision(revision)}, nil
}

// rehearse is a dry run's commit: it looks whether the object's own guard would hold.
func (w *write) rehearse(ctx context.Context, g store.Guard) error {
	e, err := w.registry.store.Get(ctx, g.Key, 0)
	if err == nil && e.Mod != g.Mod {
		err = &store.Conflict{Key: g.Key, Have: e.Mod, Want: g.Mod}
	}
	return err
}

func gvk(o api.Object) schema.GroupVersionKind { return o.GetObjectKind().GroupVersionKind() }

// note is the journal entry of a write: who did what to which object, and why (law 7).
func note(ctx context.Context, r api.Request, name string) []byte {
	user, _ := api.UserFrom(ctx)
	n := &wire.Note{TimeNs: time.Now().UnixNano(), User: user.Name, Verb: string(r.Verb), Manager: r.Manager, Target: &wire.Target{
		Group: r.Kind.Group, Kind: r.Kind.Name, Version: r.Version, Namespace: r.Key.Namespace, Name: name, Sub: r.Sub}}
	if causes := api.CausesFrom(ctx); len(causes.Edges) > 0 || causes.More > 0 {
		n.Causes = &wire.Causes{More: int32(causes.More)}
		for _, c := range causes.Edges {
			n.Causes.Edges = append(n.Causes.Edges, &wire.Cause{Type: string(c.Type), Revision: int64(c.Revision)})
		}
	}
	b, err := proto.Marshal(n)
	if err != nil {
		return nil // only text that is not UTF-8 cannot be marshalled; the write matters more than its note
	}
	return b
}

func (w *write) create(ctx context.Context) (api.Result, error) {
	p, err := w.part(w.Target, w.Verb)
	if err != nil {
		return api.Result{}, err
	}
	body, err := w.decodeBody(p.New())
	if err != nil {
		return api.Result{}, err
	}
	return w.retry(ctx, func(ctx context.Context) (api.Result, error) { return w.insert(ctx, p, clone(body)) })
}

// insert is one attempt at a create.
func (w *write) insert(ctx context.Context, p Sub, o api.Object) (api.Result, error) {
	if err := w.checkBody(o, p.New(), w.Key); err != nil {
		return api.Result{}, err
	}
	if o.GetResourceVersion() != "" {
		return api.Result{}, apierrors.NewBadRequest("resourceVersion should not be set on objects to be created")
	}
	var txn store.Txn
	o, err := w.keep(w.Version, o)
	if err != nil {
		return api.Result{}, err
	}
	if txn.If, err = w.registry.roomIn(ctx, w.resource, api.KeyOf(o)); err != nil {
		return api.Result{}, err
	}
	generated, sent := o.GetName() == "", o.GetManagedFields()
	w.begin(o)
	w.defaults(o)
	w.track(ctx, o, nil, sent)
	if err := w.finish(ctx, o, nil, &txn); err != nil {
		return api.Result{}, err
	}
	key := StoreKey(w.Kind, api.KeyOf(o))
	payload, err := w.encodeManaged(o)
	if err != nil {
		return api.Result{}, internalError(err)
	}
	res, err := w.commit(ctx, o, store.Guard{Key: key}, payload, txn)
	if conflict, ok := errors.AsType[*store.Conflict](err); ok && conflict.Key == key && !generated && !w.applies() {
		return api.Result{}, w.AlreadyExists(o.GetName())
	}
	return res, err
}
