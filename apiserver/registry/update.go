package registry

import (
	"bytes"
	"cmp"
	"context"
	"reflect"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"optimist/apiserver/store"
	"optimist/internal/api"
)

// update changes what exists: by update and patch, and by the create of a subresource (binding).
func (w *write) update(ctx context.Context) (api.Result, error) {
	p, err := w.part(w.Target, w.Verb)
	if err != nil {
		return api.Result{}, err
	}
	body, err := w.given(p)
	if err != nil {
		return api.Result{}, err
	}
	return w.retry(ctx, func(ctx context.Context) (api.Result, error) { return w.change(ctx, p, body) })
}

// change is one attempt at an update.
func (w *write) change(ctx context.Context, p Sub, body api.Object) (api.Result, error) {
	old, entry, err := w.current(ctx)
	switch {
	case apierrors.IsNotFound(err) && w.applies() && w.Sub == "" && w.Pre == (api.Preconditions{}):
		return w.applyNew(ctx, p, body)
	case err != nil:
	case w.applies():
		body, err = w.merged(p, old, body)
	case body != nil:
		body = clone(body)
	default:
		body, err = w.patched(p, old)
	}
	if err != nil {
		return api.Result{}, err
	}
	sent := body.GetManagedFields()
	if err := cmp.Or(w.checkBody(body, p.New(), w.Key), unmet(w.Kind, old, w.Pre), outdated(w.Kind, body, old)); err != nil {
		return api.Result{}, err
	}
	o := clone(old)
	if err := p.Into(body, o); err != nil {
		return api.Result{}, err
	}
	w.defaults(o)
	if p.Get != nil {
		w.track(ctx, o, old, sent)
	}
	var txn store.Txn
	if err := w.finish(ctx, o, old, &txn); err != nil {
		return api.Result{}, err
	}
	if deleting(o) && ended(o) {
		return w.remove(ctx, entry, o)
	}
	keepTimes(o, old)
	res, err := w.replace(ctx, entry, o, txn)
	if err == nil && p.Get != nil { // a binding has none: what was bound says more than what bound it, and the writer's cache can take it in
		res.Object, err = p.Get(o)
	}
	return res, err
}

func (w *write) current(ctx context.Context) (api.Object, store.Entry, error) {
	e, err := w.registry.store.Get(ctx, StoreKey(w.Kind, w.Key), 0)
	if err != nil {
		return nil, e, err
	}
	if e.Mod == 0 {
		return nil, e, w.NotFound(w.Key.Name)
	}
	o, err := w.open(e)
	if err == nil {
		w.defaults(o) // protobuf does not keep the kind of what stands within: a StatefulSet's claims
	}
	return o, e, err
}

// replace commits a new state; one that equals the old costs no revision.
func (w *write) replace(ctx context.Context, e store.Entry, o api.Object, txn store.Txn) (api.Result, error) {
	payload, err := w.encodeManaged(o)
	if err != nil {
		return api.Result{}, internalError(err)
	}
	before, err := w.unseal(e.Key, e.Value)
	if err != nil {
		return api.Result{}, internalError(err)
	}
	if bytes.Equal(before.payload, payload) && len(txn.Do) == 0 {
		_, err := w.registry.fence(ctx, w)
		return api.Result{Object: o, Revision: api.Revision(e.Mod)}, err
	}
	return w.commit(ctx, o, store.Guard{Key: e.Key, Mod: e.Mod}, payload, txn)
}

// part finds what a request writes. The main resource is the part that has everything but the status.
func (k *resource) part(t api.Target, v api.Verb) (Sub, error) {
	sub := t.Sub
	s, special := k.rules.Subs[sub]
	switch {
	case sub == "":
		return k.inVersion(t.Version, k.putAllButStatus), nil
	case special && (v == api.VerbCreate) == (s.Verb == api.VerbCreate):
		return s, nil
	case sub == "status" && k.status.Name != "" && v != api.VerbCreate:
		return k.inVersion(t.Version, k.putStatus), nil
	case sub == "finalize" && k.Is(api.NamespaceKind) && v == api.VerbUpdate:
		return finalizeNamespace, nil
	}
	return Sub{}, cmp.Or(notYet[sub], error(apierrors.NewMethodNotSupported(k.Resource(), string(v)+" of "+sub)))
}

// notYet are subresources that exist, and whose work no agent can do.
var notYet = map[string]error{
	"ephemeralcontainers": apierrors.NewMethodNotSupported(api.PodKind.Resource(), "ephemeralcontainers: this version's agents cannot start a container in a running pod; writing it"),
	"resize":              apierrors.NewMethodNotSupported(api.PodKind.Resource(), "resize: this version's agents cannot change what a running container may use; writing it"),
}

func (k *resource) putAllButStatus(body, o api.Object) error {
	if k.status.Name != "" {
		of(body, k.status).Set(of(o, k.status))
	}
	old := clone(o)
	reflect.ValueOf(o).Elem().Set(reflect.ValueOf(body).Elem())
	keepSystemMeta(o, metaOf(old))
	keepFinalizers(o, old)
	return nil
}

func (k *resource) putStatus(body, o api.Object) error {
	of(o, k.status).Set(of(body, k.status))
	return nil
}
