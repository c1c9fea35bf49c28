package api

import (
	"context"
	"slices"
)

// User is who asks, as authentication found out.
type User struct {
	Name   string
	Groups []string
	UID    string
	Extra  map[string][]string
}

// In reports membership of a group.
func (u User) In(group string) bool { return slices.Contains(u.Groups, group) }

// Names and groups that the system itself uses.
const (
	GroupMasters       = "system:masters" // may do everything
	GroupNodes         = "system:nodes"
	NodePrefix         = "system:node:"         // + node name
	GroupBootstrappers = "system:bootstrappers" // whoever has a bootstrap token,
	BootstrapPrefix    = "system:bootstrap:"    // + the token's id
	UserControllers    = "system:controllers"   // the controllers' shared informers and leader election
	ControllerPrefix   = "system:controller:"   // + controller name
	UserScheduler      = "system:scheduler"
	UserAPIServer      = "system:apiserver"
)

type userKey struct{}

// WithUser says who asks. Doors set it after authentication; in-process callers set it themselves.
func WithUser(ctx context.Context, u User) context.Context {
	return context.WithValue(ctx, userKey{}, u)
}

// UserFrom returns who asks; false if nobody said.
func UserFrom(ctx context.Context) (User, bool) {
	u, ok := ctx.Value(userKey{}).(User)
	return u, ok
}

type fenceKey struct{}

// WithFence makes every write under ctx carry the fence (unless it has one).
func WithFence(ctx context.Context, f Fence) context.Context {
	return context.WithValue(ctx, fenceKey{}, f)
}

// FenceFrom returns the fence of ctx, or nil.
func FenceFrom(ctx context.Context) *Fence {
	f, ok := ctx.Value(fenceKey{}).(Fence)
	if !ok {
		return nil
	}
	return &f
}

type verbKey struct{}

// WithVerb says what a Connect that carries HTTP (sub "proxy") stands for: "get" for a GET. Doors set it.
func WithVerb(ctx context.Context, v Verb) context.Context {
	return context.WithValue(ctx, verbKey{}, v)
}

// VerbsFrom returns that; all that a method can stand for if nobody said: then any can follow on the stream.
func VerbsFrom(ctx context.Context) []Verb {
	if v, ok := ctx.Value(verbKey{}).(Verb); ok {
		return []Verb{v}
	}
	return SubVerbs["proxy"]
}
