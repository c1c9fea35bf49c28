package registry

import (
	"context"
	"errors"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"optimist/apiserver/store"
	"optimist/internal/api"
)

// create stores a new object.
func (w *write) create(ctx context.Context) (api.Result, error) {
	p, err := w.part("", w.Verb)
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
	var err error
	if txn.If, err = w.registry.roomIn(ctx, w.resource, api.KeyOf(o)); err != nil {
		return api.Result{}, err
	}
	generated := o.GetName() == ""
	w.begin(o)
	w.defaults(o)
	if err := w.finish(ctx, o, nil, &txn); err != nil {
		return api.Result{}, err
	}
	key := StoreKey(w.Kind, api.KeyOf(o))
	payload, err := w.encode(o)
	if err != nil {
		return api.Result{}, internalError(err)
	}
	res, err := w.commit(ctx, o, store.Guard{Key: key}, payload, txn)
	var conflict *store.Conflict
	if errors.As(err, &conflict) && conflict.Key == key && !generated {
		return api.Result{}, w.AlreadyExists(o.GetName())
	}
	return res, err
}
