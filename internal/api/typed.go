package api

import (
	"context"

	"k8s.io/apimachinery/pkg/types"
)

// Of is typed access to one kind through any Service: api.Pods.Get(ctx, svc, key) returns a *corev1.Pod.
type Of[T Object] struct{ Kind *Kind }

// Get reads one object.
func (o Of[T]) Get(ctx context.Context, s Service, key Key) (T, error) {
	return typed[T](s.Get(ctx, Target{Kind: o.Kind, Key: key}, GetOptions{}))
}

// List reads all objects of a namespace ("" = all) that the options select.
func (o Of[T]) List(ctx context.Context, s Service, namespace string, lo ListOptions) ([]T, error) {
	var all []T
	for {
		l, err := s.List(ctx, Target{Kind: o.Kind, Key: Key{Namespace: namespace}}, lo)
		if err != nil {
			return nil, err
		}
		for _, item := range l.Items {
			all = append(all, item.(T))
		}
		if l.Continue == "" {
			return all, nil
		}
		lo.Continue = l.Continue
	}
}

// Create stores a new object, which belongs to the callee from then on.
func (o Of[T]) Create(ctx context.Context, s Service, obj T) (T, error) {
	return typed[T](s.Write(ctx, o.Request(VerbCreate, KeyOf(obj), "", obj)))
}

// Update replaces an object; its resourceVersion, if set, must still be the newest.
func (o Of[T]) Update(ctx context.Context, s Service, obj T) (T, error) {
	return typed[T](s.Write(ctx, o.Request(VerbUpdate, KeyOf(obj), "", obj)))
}

// UpdateStatus replaces an object's status and nothing else of it.
func (o Of[T]) UpdateStatus(ctx context.Context, s Service, obj T) (T, error) {
	return typed[T](s.Write(ctx, o.Request(VerbUpdate, KeyOf(obj), "status", obj)))
}

// Patch changes an object or a subresource of it.
func (o Of[T]) Patch(ctx context.Context, s Service, key Key, sub string, pt types.PatchType, data []byte) (T, error) {
	r := o.Request(VerbPatch, key, sub, nil)
	r.Patch = &Patch{Type: pt, Data: data}
	return typed[T](s.Write(ctx, r))
}

// Delete asks for an object's end; it may linger until its finalizers and its grace are through.
func (o Of[T]) Delete(ctx context.Context, s Service, key Key, opt Options) error {
	r := o.Request(VerbDelete, key, "", nil)
	r.Options = opt
	_, err := s.Write(ctx, r)
	return err
}

// Request builds a write of this kind.
func (o Of[T]) Request(v Verb, key Key, sub string, body Object) Request {
	return Request{Target: Target{Kind: o.Kind, Key: key, Sub: sub}, Verb: v, Body: body}
}

func typed[T Object](r Result, err error) (T, error) {
	if err != nil {
		var none T
		return none, err
	}
	return r.Object.(T), nil
}
