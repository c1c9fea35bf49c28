package auth

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"slices"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"optimist/apiserver/door"
	"optimist/internal/api"
)

// The groups of everybody who said who he is, and of those who did not.
const (
	authenticated   = "system:authenticated"
	unauthenticated = "system:unauthenticated"
	anonymous       = "system:anonymous"
)

// Identify finds out who is at the other end: whom the client certificate names, else whom the bearer token does, else nobody in particular. A wrong
// token is refused (401), never taken for none.
func (g *Gate) Identify(ctx context.Context, s tls.ConnectionState, token string, from net.Addr) (api.User, error) {
	if u, known := door.User(s); known {
		return u, nil
	}
	if token != "" {
		return g.Token(ctx, from, token)
	}
	return api.User{Name: anonymous, Groups: []string{unauthenticated}}, nil
}

// Token is whom a bearer token, shown from an address, speaks for.
func (g *Gate) Token(ctx context.Context, from net.Addr, token string) (api.User, error) {
	return g.tokens.User(ctx, from, token)
}

// health are the paths that everybody may ask, also before there is any role.
var health = []string{"/healthz", "/livez", "/readyz"}

// Path decides on a path that is no object's: verb is the HTTP method in lower case.
func (g *Gate) Path(ctx context.Context, verb, path string) error {
	u, known := api.UserFrom(ctx)
	switch {
	case !known:
		return errUnknown
	case verb == "get" && slices.Contains(health, path):
		return nil
	}
	ok, why, err := g.may(ctx, u, ask{verb: api.Verb(verb), path: path})
	if err != nil || ok {
		return err
	}
	if why != "" {
		why = ": " + why
	}
	return apierrors.NewForbidden(schema.GroupResource{}, "", fmt.Errorf("User %q cannot %s path %q%s", u.Name, verb, path, why))
}

// Impersonate returns ctx with another caller, if the one in it may take the place of the user, of each of the groups, and of what else is named.
func (g *Gate) Impersonate(ctx context.Context, as api.User) (context.Context, error) {
	if as.Name == "" {
		return ctx, apierrors.NewBadRequest("requested to impersonate groups, a uid or extras without impersonating a user")
	}
	var all []api.Target
	take := func(group, resource, sub, ns, name string) {
		all = append(all, api.Target{Kind: &api.Kind{Group: group, Plural: resource}, Sub: sub, Key: api.Key{Namespace: ns, Name: name}})
	}
	ns, name, isAccount := account(as.Name)
	if isAccount {
		take("", "serviceaccounts", "", ns, name)
	} else {
		take("", "users", "", "", as.Name)
	}
	for _, group := range as.Groups {
		take("", "groups", "", "", group)
	}
	if as.UID != "" {
		take(authenticationv1.GroupName, "uids", "", "", as.UID)
	}
	for key, values := range as.Extra {
		for _, v := range values {
			take(authenticationv1.GroupName, "userextras", key, "", v)
		}
	}
	for _, t := range all {
		if _, err := g.judge(ctx, "impersonate", t, func(n node) error { return forbidden(n.user, "impersonate", t, "") }); err != nil {
			return ctx, err
		}
	}
	as.Groups = slices.Clone(as.Groups)
	if len(as.Groups) == 0 && isAccount {
		as.Groups = accountGroups(ns)
	}
	if as.Name == anonymous && !as.In(unauthenticated) {
		as.Groups = append(as.Groups, unauthenticated)
	} else if as.Name != anonymous && !as.In(unauthenticated) && !as.In(authenticated) {
		as.Groups = append(as.Groups, authenticated)
	}
	return api.WithUser(ctx, as), nil
}
