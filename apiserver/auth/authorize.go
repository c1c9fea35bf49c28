package auth

import (
	"context"
	"fmt"
	"iter"
	"net/url"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"optimist/internal/api"
)

// Authorize lets through to next what the caller (api.UserFrom) may do.
func Authorize(next api.Service, roles Roles) api.Service { return &gate{next: next, roles: roles} }

type gate struct {
	next  api.Service
	roles Roles
}

// who returns the caller. A call without one is a mistake of ours, or of a door.
func who(ctx context.Context) (api.User, error) {
	u, ok := api.UserFrom(ctx)
	if !ok {
		return u, apierrors.NewUnauthorized("who asks is not known")
	}
	return u, nil
}

// all reports whether a user may do everything.
func all(u api.User) bool { return u.In(api.GroupMasters) || u.Name == api.UserAPIServer }

// nodeOf returns the name of the node that a user is the agent of.
func nodeOf(u api.User) (string, bool) {
	node, ok := strings.CutPrefix(u.Name, api.NodePrefix)
	return node, ok && u.In(api.GroupNodes)
}

// check decides by roles alone.
func (g *gate) check(u api.User, v api.Verb, t api.Target) error {
	if all(u) || g.roles.allow(u.Name, v, t) {
		return nil
	}
	return forbidden(u, v, t, "")
}

func (g *gate) Get(ctx context.Context, t api.Target, o api.GetOptions) (api.Result, error) {
	u, err := who(ctx)
	if err != nil {
		return api.Result{}, err
	}
	if node, ok := nodeOf(u); ok {
		return g.node(u, node).get(ctx, t, o)
	}
	if err := g.check(u, api.VerbGet, t); err != nil {
		return api.Result{}, err
	}
	return g.next.Get(ctx, t, o)
}

func (g *gate) List(ctx context.Context, t api.Target, o api.ListOptions) (api.List, error) {
	u, err := who(ctx)
	if err != nil {
		return api.List{}, err
	}
	if node, ok := nodeOf(u); ok {
		err = g.node(u, node).look(ctx, api.VerbList, t, o.Fields)
	} else {
		err = g.check(u, api.VerbList, t)
	}
	if err != nil {
		return api.List{}, err
	}
	return g.next.List(ctx, t, o)
}

func (g *gate) Watch(ctx context.Context, t api.Target, o api.WatchOptions) (iter.Seq2[[]api.Event, error], error) {
	u, err := who(ctx)
	if err != nil {
		return nil, err
	}
	if node, ok := nodeOf(u); ok {
		err = g.node(u, node).look(ctx, api.VerbWatch, t, o.Fields)
	} else {
		err = g.check(u, api.VerbWatch, t)
	}
	if err != nil {
		return nil, err
	}
	return g.next.Watch(ctx, t, o)
}

func (g *gate) Write(ctx context.Context, r api.Request) (api.Result, error) {
	u, err := who(ctx)
	if err != nil {
		return api.Result{}, err
	}
	if node, ok := nodeOf(u); ok {
		err = g.node(u, node).write(ctx, &r)
	} else {
		err = g.check(u, r.Verb, r.Target)
	}
	if err != nil {
		return api.Result{}, err
	}
	return g.next.Write(ctx, r)
}

func (g *gate) Connect(ctx context.Context, t api.Target, params url.Values) (api.Stream, error) {
	u, err := who(ctx)
	if err != nil {
		return nil, err
	}
	if err := g.check(u, connectVerb(t.Sub), t); err != nil { // nodes have no role: they are asked, they do not ask
		return nil, err
	}
	return g.next.Connect(ctx, t, params)
}

// connectVerb is Kubernetes' word for opening a stream: what only tells is "get", what acts is "create".
func connectVerb(sub string) api.Verb {
	switch sub {
	case "exec", "attach":
		return api.VerbCreate
	}
	return api.VerbGet
}

// Now tells a number that everybody who is known may know.
func (g *gate) Now(ctx context.Context) (api.Revision, error) {
	if _, err := who(ctx); err != nil {
		return 0, err
	}
	return g.next.Now(ctx)
}

// forbidden words a refusal as Kubernetes does; why may be "".
func forbidden(u api.User, v api.Verb, t api.Target, why string) error {
	resource, where := t.Kind.Plural, "at the cluster scope"
	if t.Sub != "" {
		resource += "/" + t.Sub
	}
	if t.Key.Namespace != "" {
		where = fmt.Sprintf("in the namespace %q", t.Key.Namespace)
	}
	if why != "" {
		why = ": " + why
	}
	return apierrors.NewForbidden(schema.GroupResource{Group: t.Kind.Group, Resource: resource}, t.Key.Name,
		fmt.Errorf("User %q cannot %s resource %q in API group %q %s%s", u.Name, v, resource, t.Kind.Group, where, why))
}
