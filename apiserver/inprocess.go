package apiserver

import (
	"context"
	"iter"
	"net/url"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"optimist/apiserver/journal"
	"optimist/internal/api"
	"optimist/internal/console"
)

// Service is access from within this process, as u: authorised like over the network, without encoding.
func (s *Server) Service(u api.User) api.Service { return as{s.service, u} }

// as makes every call in a user's name.
type as struct {
	svc  api.Service
	user api.User
}

func (a as) Get(ctx context.Context, t api.Target, o api.GetOptions) (api.Result, error) {
	return a.svc.Get(api.WithUser(ctx, a.user), t, o)
}

func (a as) List(ctx context.Context, t api.Target, o api.ListOptions) (api.List, error) {
	return a.svc.List(api.WithUser(ctx, a.user), t, o)
}

func (a as) Watch(ctx context.Context, t api.Target, o api.WatchOptions) (iter.Seq2[[]api.Event, error], error) {
	return a.svc.Watch(api.WithUser(ctx, a.user), t, o)
}

func (a as) Write(ctx context.Context, r api.Request) (api.Result, error) {
	return a.svc.Write(api.WithUser(ctx, a.user), r)
}

func (a as) Connect(ctx context.Context, t api.Target, params url.Values) (api.Stream, error) {
	return a.svc.Connect(api.WithUser(ctx, a.user), t, params)
}

func (a as) Now(ctx context.Context) (api.Revision, error) {
	return a.svc.Now(api.WithUser(ctx, a.user))
}

// self answers for the API server itself.
type self struct {
	ring    *console.Ring // may be nil
	journal *journal.Journal
}

func (s self) Connect(ctx context.Context, t api.Target, params url.Values) (api.Stream, error) {
	switch {
	case t.Sub == "journal":
		return s.journal.Connect(ctx, params)
	case t.Sub == "log" && s.ring != nil:
		return s.ring.Connect(ctx, params)
	}
	return nil, apierrors.NewBadRequest("the API server has a log and a journal, but no " + t.Sub)
}
