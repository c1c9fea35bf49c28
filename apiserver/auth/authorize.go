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

// Gate is an api.Service that lets through to the next what the caller (api.UserFrom) may do.
type Gate struct {
	next   api.Service
	roles  Roles
	tokens *Tokens
}

// New puts a gate before next, which it also reads by itself.
func New(next api.Service, roles Roles) *Gate {
	return &Gate{next: next, roles: roles, tokens: &Tokens{Service: next}}
}

// judge decides: on what a node, or a machine that joins, does by the objects, too; on everything else by roles alone.
func (g *Gate) judge(ctx context.Context, v api.Verb, t api.Target, closer func(node) error) error {
	u, known := api.UserFrom(ctx)
	name, isNode := strings.CutPrefix(u.Name, api.NodePrefix)
	switch {
	case !known:
		return errUnknown
	case isNode && u.In(api.GroupNodes):
		return closer(node{g, u, name, g.roles[api.GroupNodes]})
	case u.In(api.GroupBootstrappers):
		return closer(node{g, u, "", g.roles[api.GroupBootstrappers]})
	case u.In(api.GroupMasters), u.Name == api.UserAPIServer, g.roles.allow(u.Name, v, t):
		return nil
	}
	return forbidden(u, v, t, "")
}

// errUnknown: a call without a caller is a mistake of ours, or of a door.
var errUnknown = apierrors.NewUnauthorized("who asks is not known")

func (g *Gate) Get(ctx context.Context, t api.Target, o api.GetOptions) (seen api.Result, err error) {
	err = g.judge(ctx, api.VerbGet, t, func(n node) (err error) { seen, err = n.get(ctx, t, o); return err })
	if err != nil || seen.Object != nil {
		return seen, err
	}
	return g.next.Get(ctx, t, o)
}

func (g *Gate) List(ctx context.Context, t api.Target, o api.ListOptions) (api.List, error) {
	if err := g.judge(ctx, api.VerbList, t, func(n node) error { return n.look(ctx, api.VerbList, t, o.Fields) }); err != nil {
		return api.List{}, err
	}
	return g.next.List(ctx, t, o)
}

func (g *Gate) Watch(ctx context.Context, t api.Target, o api.WatchOptions) (iter.Seq2[[]api.Event, error], error) {
	if err := g.judge(ctx, api.VerbWatch, t, func(n node) error { return n.look(ctx, api.VerbWatch, t, o.Fields) }); err != nil {
		return nil, err
	}
	return g.next.Watch(ctx, t, o)
}

func (g *Gate) Write(ctx context.Context, r api.Request) (api.Result, error) {
	if err := g.judge(ctx, r.Verb, r.Target, func(n node) error { return n.write(ctx, &r) }); err != nil {
		return api.Result{}, err
	}
	return g.next.Write(ctx, r)
}

// Connect is nothing for nodes: they are asked, they do not ask.
func (g *Gate) Connect(ctx context.Context, t api.Target, params url.Values) (api.Stream, error) {
	v := connectVerb(ctx, t.Sub)
	if err := g.judge(ctx, v, t, func(n node) error { return forbidden(n.user, v, t, "") }); err != nil {
		return nil, err
	}
	return g.next.Connect(ctx, t, params)
}

// connectVerb is Kubernetes' word for opening a stream: what only tells is "get", what acts is "create", and what carries HTTP follows the method.
func connectVerb(ctx context.Context, sub string) api.Verb {
	switch sub {
	case "exec", "attach", "portforward", "encryption":
		return api.VerbCreate
	case "proxy":
		return api.VerbFrom(ctx)
	}
	return api.VerbGet
}

// Now tells a number that everybody who is known may know.
func (g *Gate) Now(ctx context.Context) (api.Revision, error) {
	if u, known := api.UserFrom(ctx); !known {
		return 0, errUnknown
	} else if u.In(api.GroupBootstrappers) {
		return 0, apierrors.NewForbidden(schema.GroupResource{}, "", fmt.Errorf("User %q may do nothing but join", u.Name))
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
