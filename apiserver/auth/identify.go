package auth

import (
	"context"
	"crypto/tls"
	"net"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"optimist/apiserver/door"
	"optimist/internal/api"
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
	return api.User{Name: "system:anonymous", Groups: []string{"system:unauthenticated"}}, nil
}

// Token is whom a bearer token, shown from an address, speaks for.
func (g *Gate) Token(ctx context.Context, from net.Addr, token string) (api.User, error) {
	return g.tokens.User(ctx, from, token)
}

// health are the paths that everybody may ask, before there is any role.
var health = []string{"/healthz", "/livez", "/readyz"}

// Path decides on a path that is no object's: verb is the HTTP method in lower case.
func (g *Gate) Path(ctx context.Context, verb, path string) error {
	u, known := api.UserFrom(ctx)
	switch {
	case !known:
		return errUnknown
	case verb == "get" && slices.Contains(health, path), u.In(api.GroupMasters), u.Name == api.UserAPIServer:
		return nil
	}
	return apierrors.NewForbidden(schema.GroupResource{}, "", nil)
}

// Impersonate returns ctx with another caller, if the one in it may take that one's place.
func (g *Gate) Impersonate(ctx context.Context, as api.User) (context.Context, error) {
	if u, _ := api.UserFrom(ctx); !u.In(api.GroupMasters) {
		return ctx, apierrors.NewForbidden(schema.GroupResource{Resource: "users"}, as.Name, nil)
	}
	return api.WithUser(ctx, as), nil
}
