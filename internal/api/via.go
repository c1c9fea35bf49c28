package api

import (
	"context"
	"iter"
	"net/url"
)

// Via is a Service of which each call is one to the Service that it leads to at that moment, under the context that it returns.
type Via func(ctx context.Context) (context.Context, Service, error)

func via[T any](ctx context.Context, way Via, call func(context.Context, Service) (T, error)) (none T, _ error) {
	ctx, svc, err := way(ctx)
	if err != nil {
		return none, err
	}
	return call(ctx, svc)
}

func (way Via) Get(ctx context.Context, t Target, o GetOptions) (Result, error) {
	return via(ctx, way, func(ctx context.Context, s Service) (Result, error) { return s.Get(ctx, t, o) })
}

func (way Via) List(ctx context.Context, t Target, o ListOptions) (List, error) {
	return via(ctx, way, func(ctx context.Context, s Service) (List, error) { return s.List(ctx, t, o) })
}

func (way Via) Watch(ctx context.Context, t Target, o WatchOptions) (iter.Seq2[[]Event, error], error) {
	return via(ctx, way, func(ctx context.Context, s Service) (iter.Seq2[[]Event, error], error) { return s.Watch(ctx, t, o) })
}

func (way Via) Write(ctx context.Context, r Request) (Result, error) {
	return via(ctx, way, func(ctx context.Context, s Service) (Result, error) { return s.Write(ctx, r) })
}

func (way Via) Connect(ctx context.Context, t Target, params url.Values) (Stream, error) {
	return via(ctx, way, func(ctx context.Context, s Service) (Stream, error) { return s.Connect(ctx, t, params) })
}

func (way Via) Now(ctx context.Context) (Revision, error) {
	return via(ctx, way, func(ctx context.Context, s Service) (Revision, error) { return s.Now(ctx) })
}
