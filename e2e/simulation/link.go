package simulation

import (
	"context"
	"errors"
	"iter"
	"net/url"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"optimist/internal/api"
)

var (
	errReset  = errors.New("connection reset by peer")
	errRoute  = errors.New("no route to host")
	errKilled = errors.New("this process was killed")
)

// life is one incarnation of a component: what it knows dies with it.
type life struct {
	w       *World
	name    string
	ctx     context.Context
	end     context.CancelFunc
	dead    bool
	paused  int  // how often it was stopped without having been woken (SIGSTOP)
	stopped bool // one of these times was an event of its own, and so will be the waking
	cut     bool // from the API server
	streams []*stream
}

func (w *World) newLife(name string) *life {
	l := &life{w: w, name: name}
	l.ctx, l.end = context.WithCancel(context.Background())
	w.say(name, "starts")
	return l
}

func (l *life) kill(how string) {
	if !l.dead {
		l.dead = true
		l.w.say(l.name, "is killed %s", how)
		l.end()
	}
}

// runs reports whether it can do anything now.
func (l *life) runs() bool { return l != nil && !l.dead && l.paused == 0 }

// positions are how far each watch has told: what whoever plans now may know.
func (l *life) positions() map[*api.Kind]api.Revision {
	at := map[*api.Kind]api.Revision{}
	for _, s := range l.streams {
		at[s.track.kind] = s.told
	}
	return at
}

// link is how a component speaks to the API server: as one user, over a connection that loses requests and answers, and past which time goes by.
type link struct {
	*life
	user api.User
	role string // whose doing it is: a controller's name, "scheduler", "node", "leader"
}

var _ api.Service = (*link)(nil)

// gone says why nothing can be sent.
func (l *link) gone(ctx context.Context) error {
	switch {
	case l.dead:
		return errKilled
	case ctx.Err() != nil:
		return ctx.Err()
	case l.cut:
		return errRoute
	}
	return nil
}

func (l *link) as(ctx context.Context) context.Context { return api.WithUser(ctx, l.user) }

func (l *link) Get(ctx context.Context, t api.Target, o api.GetOptions) (api.Result, error) {
	if err := l.gone(ctx); err != nil {
		return api.Result{}, err
	}
	if l.w.strikes(l.w.Odds.RequestLost) {
		return api.Result{}, errReset
	}
	return l.w.service.Get(l.as(ctx), t, o)
}

func (l *link) List(ctx context.Context, t api.Target, o api.ListOptions) (api.List, error) {
	if err := l.gone(ctx); err != nil {
		return api.List{}, err
	}
	if l.w.strikes(l.w.Odds.RequestLost) {
		return api.List{}, errReset
	}
	return l.w.service.List(l.as(ctx), t, o)
}

// Watch is never called: streams deliver to the sets themselves.
func (l *link) Watch(context.Context, api.Target, api.WatchOptions) (iter.Seq2[[]api.Event, error], error) {
	return nil, errors.New("the simulation delivers what watches tell")
}

func (l *link) Connect(context.Context, api.Target, url.Values) (api.Stream, error) {
	return nil, errors.New("nobody connects in the simulation")
}

// Now answers, and lets the component's watches tell everything up to then: whoever asks is about to wait for that.
func (l *link) Now(ctx context.Context) (api.Revision, error) {
	if err := l.gone(ctx); err != nil {
		return 0, err
	}
	if l.w.strikes(l.w.Odds.RequestLost) {
		return 0, errReset
	}
	now, err := l.w.service.Now(l.as(ctx))
	if err != nil {
		return 0, err
	}
	l.w.say(l.name, "asks how far the server is: %d", now)
	for _, s := range l.streams {
		s.catchUp()
	}
	if f := l.w.top(); f.life == l.life {
		f.began, f.planned = l.positions(), l.w.history.revision
	}
	return now, nil
}

// Write sends a request; before it leaves and after it was answered, others may do things.
func (l *link) Write(ctx context.Context, r api.Request) (api.Result, error) {
	w := l.w
	if err := l.gone(ctx); err != nil {
		return api.Result{}, err
	}
	w.meanwhile(l.life)
	if err := l.gone(ctx); err != nil {
		return api.Result{}, err
	}
	if err := l.misfortune(r); err != nil {
		return api.Result{}, err
	}
	was := w.history.revision
	result, err := l.send(ctx, r)
	is := w.history.revision
	if w.strikes(w.Odds.Kill) || w.fated(l, r, after) {
		l.kill("after its write was done")
		return api.Result{}, errKilled
	}
	w.meanwhile(l.life)
	for was < is {
		was++
		w.checks.heard[was] = w.history.revision
	}
	if err := l.gone(ctx); err != nil {
		return api.Result{}, err
	}
	if w.strikes(w.Odds.AnswerLost) {
		w.say(l.name, "does not get the answer")
		return api.Result{}, errReset
	}
	return result, err
}

// misfortune is what may happen to a request on its way.
func (l *link) misfortune(r api.Request) error {
	w := l.w
	switch {
	case w.strikes(w.Odds.Kill) || w.fated(l, r, before):
		l.kill("before it could " + sentence(r))
		return errKilled
	case w.strikes(w.Odds.RequestLost):
		w.say(l.name, "%s: the request is lost", sentence(r))
		return errReset
	case w.strikes(w.Odds.Refused):
		w.say(l.name, "%s: the server is not available", sentence(r))
		return apierrors.NewServiceUnavailable("try again")
	}
	return nil
}

// send carries a request out. Who is writing stands in the frame, for the invariants.
func (l *link) send(ctx context.Context, r api.Request) (api.Result, error) {
	w := l.w
	f := w.top()
	f.link, f.request, f.fence = l, &r, r.Fence
	if f.fence == nil {
		f.fence = api.FenceFrom(ctx)
	}
	before := w.history.revision
	result, err := w.service.Write(l.as(ctx), r)
	f.link, f.request, f.fence = nil, nil, nil
	switch {
	case err != nil:
		w.say(l.name, "%s: refused: %v", sentence(r), err)
	case w.history.revision == before:
		w.say(l.name, "%s: nothing changes", sentence(r))
	case f.role != "keeper" && f.role != "leader": // heartbeats would be most of the story
		w.say(l.name, "%s → %d", sentence(r), w.history.revision)
	}
	return result, err
}

func sentence(r api.Request) string {
	what := r.Kind.String()
	if r.Sub != "" {
		what += "/" + r.Sub
	}
	return string(r.Verb) + " " + what + " " + r.Key.String()
}
