package auth

import (
	"context"
	"crypto/ecdsa"
	"fmt"
	"iter"
	"log/slog"
	"net/url"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"optimist/internal/api"
)

// Gate is an api.Service that lets through to the next what the caller (api.UserFrom) may do. What is asked of it rather than of the registry (tokens,
// reviews) it answers itself. What roles that are objects say, it knows while Run runs.
type Gate struct {
	next   api.Service
	write  api.Service // next, laid over what rbac has read
	roles  Roles
	rbac   *rbac
	tokens *Tokens
	Log    *slog.Logger // New sets slog.Default()
}

// New puts a gate before next, which it also reads by itself. keys are those of the ServiceAccounts' tokens (pki.TokenKeys): the first signs, all verify;
// without one there are no such tokens.
func New(next api.Service, roles Roles, keys ...*ecdsa.PrivateKey) *Gate {
	r := newRBAC(next)
	return &Gate{next: next, write: r.set.Over(next), roles: roles, rbac: r, tokens: &Tokens{Service: next, keys: keysOf(keys)}, Log: slog.Default()}
}

// judge decides: on what a node, or a machine that joins, does by the objects, too; on what the system's own parts do by the roles that are built in; on
// everybody else by the roles that are objects. It tells why somebody may, if there is something to tell.
func (g *Gate) judge(ctx context.Context, v api.Verb, t api.Target, closer func(node) error) (why string, err error) {
	u, known := api.UserFrom(ctx)
	name, isNode := strings.CutPrefix(u.Name, api.NodePrefix)
	switch _, builtin := g.roles[u.Name]; {
	case !known:
		return "", errUnknown
	case almighty(u), v == api.VerbCreate && aboutOneself[t.Kind.Name] && t.Kind.Virtual && u.In(authenticated):
		return "", nil
	case isNode && u.In(api.GroupNodes):
		return "", closer(node{g, u, name, g.roles[api.GroupNodes]})
	case u.In(api.GroupBootstrappers):
		return "", closer(node{g, u, "", g.roles[api.GroupBootstrappers]})
	case g.roles.allow(u.Name, v, t):
		return "", nil
	case builtin:
		return "", forbidden(u, v, t, "")
	}
	ok, why, err := g.may(ctx, u, asking(v, t))
	if err == nil && !ok {
		err = forbidden(u, v, t, why)
	}
	return why, err
}

// almighty are those whom no object can lock out. A name does not make one of them: names can be impersonated, and be asked for in certificates.
func almighty(u api.User) bool { return u.In(api.GroupMasters) }

// aboutOneself are the questions that everybody who is known may ask.
var aboutOneself = map[string]bool{"SelfSubjectReview": true, "SelfSubjectAccessReview": true, "SelfSubjectRulesReview": true}

// may decides by the roles that are objects.
func (g *Gate) may(ctx context.Context, u api.User, a ask) (ok bool, why string, err error) {
	if almighty(u) {
		return true, "", nil
	}
	if err := g.rbac.settle(ctx); err != nil {
		return false, "", err
	}
	ok, why = g.rbac.allows(u, a)
	return ok, why, nil
}

// errUnknown: a call without a caller is a mistake of ours, or of a door.
var errUnknown = apierrors.NewUnauthorized("who asks is not known")

func (g *Gate) Get(ctx context.Context, t api.Target, o api.GetOptions) (seen api.Result, err error) {
	_, err = g.judge(ctx, api.VerbGet, t, func(n node) (err error) { seen, err = n.get(ctx, t, o); return err })
	if err != nil || seen.Object != nil {
		return seen, err
	}
	return g.next.Get(ctx, t, o)
}

func (g *Gate) List(ctx context.Context, t api.Target, o api.ListOptions) (api.List, error) {
	if _, err := g.judge(ctx, api.VerbList, one(t, o.Fields), func(n node) error { return n.look(ctx, api.VerbList, t, o.Fields) }); err != nil {
		return api.List{}, err
	}
	return g.next.List(ctx, t, o)
}

func (g *Gate) Watch(ctx context.Context, t api.Target, o api.WatchOptions) (iter.Seq2[[]api.Event, error], error) {
	if _, err := g.judge(ctx, api.VerbWatch, one(t, o.Fields), func(n node) error { return n.look(ctx, api.VerbWatch, t, o.Fields) }); err != nil {
		return nil, err
	}
	return g.next.Watch(ctx, t, o)
}

// one is the target of a request for several objects, and its name if only one can be meant.
func one(t api.Target, f fields.Selector) api.Target {
	t.Key.Name = exactly(f, "metadata.name")
	return t
}

func (g *Gate) Write(ctx context.Context, r api.Request) (api.Result, error) {
	t := r.Target
	if r.Verb == api.VerbDeleteCollection {
		t = one(t, r.Match.Fields)
	}
	if _, err := g.judge(ctx, r.Verb, t, func(n node) error { return n.write(ctx, &r) }); err != nil {
		return api.Result{}, err
	}
	if answer := g.answers(r.Target); answer != nil && r.Verb == api.VerbCreate {
		return answer(ctx, r)
	}
	if err := g.mayApply(ctx, &r); err != nil {
		return api.Result{}, err
	}
	return g.write.Write(ctx, r)
}

// mayApply keeps who may only patch from making objects by a server-side apply.
func (g *Gate) mayApply(ctx context.Context, r *api.Request) error {
	if r.Patch == nil || r.Patch.Type != types.ApplyPatchType || r.Sub != "" {
		return nil
	}
	_, refused := g.judge(ctx, api.VerbCreate, r.Target, func(n node) error { return n.write(ctx, &api.Request{Target: r.Target, Verb: api.VerbCreate}) })
	if refused == nil {
		return nil
	}
	is, err := g.next.Get(ctx, r.Target, api.GetOptions{})
	if apierrors.IsNotFound(err) {
		return refused
	}
	if err == nil && r.Pre.UID == "" {
		r.Pre.UID = is.Object.GetUID() // the very object that is there
	}
	return err
}

// Connect is nothing for nodes: they are asked, they do not ask.
func (g *Gate) Connect(ctx context.Context, t api.Target, params url.Values) (api.Stream, error) {
	for _, v := range connectVerbs(ctx, t.Sub) {
		if _, err := g.judge(ctx, v, t, func(n node) error { return forbidden(n.user, v, t, "") }); err != nil {
			return nil, err
		}
	}
	return g.next.Connect(ctx, t, params)
}

// connectVerbs are Kubernetes' words for opening a stream: what only tells is "get", what acts is "create", and what carries HTTP follows the method.
func connectVerbs(ctx context.Context, sub string) []api.Verb {
	switch sub {
	case "exec", "attach", "portforward", "encryption":
		return []api.Verb{api.VerbCreate}
	case "proxy":
		return api.VerbsFrom(ctx)
	}
	return []api.Verb{api.VerbGet}
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
	a, where := asking(v, t), "at the cluster scope"
	if a.namespace != "" {
		where = fmt.Sprintf("in the namespace %q", a.namespace)
	}
	if why != "" {
		why = ": " + why
	}
	return apierrors.NewForbidden(schema.GroupResource{Group: a.group, Resource: a.resource}, a.name,
		fmt.Errorf("User %q cannot %s resource %q in API group %q %s%s", u.Name, v, a.resource, a.group, where, why))
}
