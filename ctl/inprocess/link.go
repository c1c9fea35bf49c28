package inprocess

import (
	"context"
	"iter"
	"net/url"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"optimist/internal/api"
)

// link stands for the connection between one part and the API server. While it is cut the part lives on, but reaches nobody.
type link struct {
	mu   sync.Mutex // guards what follows
	up   context.Context
	down context.CancelFunc
}

func newLink() *link {
	l := &link{}
	l.join()
	return l
}

func (l *link) join() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.up == nil || l.up.Err() != nil {
		l.up, l.down = context.WithCancel(context.Background())
	}
}

func (l *link) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.down()
}

// state is the connection as it is now: its context ends when the link is cut.
func (l *link) state() (context.Context, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.up.Err() != nil {
		return nil, apierrors.NewServiceUnavailable("the connection to the API server is cut")
	}
	return l.up, nil
}

// linked is the API server as a user reaches it through a link. Calls that have begun are answered; watches end with the link, or the server.
type linked struct {
	api.Via // all but Watch
	server  *servers
	user    api.User
	link    *link
}

func newLinked(server *servers, user api.User, link *link) api.Service {
	s := linked{server: server, user: user, link: link}
	s.Via = func(ctx context.Context) (context.Context, api.Service, error) {
		svc, _, err := s.reach()
		return ctx, svc, err
	}
	return s
}

// reach returns the way to the API server, and what ends when the way does.
func (s linked) reach() (svc api.Service, ends []context.Context, err error) {
	up, err := s.link.state()
	if err != nil {
		return nil, nil, err
	}
	server, err := s.server.state()
	if err != nil {
		return nil, nil, err
	}
	return server.Service(s.user), []context.Context{up, server.life}, nil
}

func (s linked) Watch(ctx context.Context, t api.Target, o api.WatchOptions) (iter.Seq2[[]api.Event, error], error) {
	svc, ends, err := s.reach()
	if err != nil {
		return nil, err
	}
	ctx, end := context.WithCancel(ctx)
	for _, e := range ends {
		forget := context.AfterFunc(e, end)
		context.AfterFunc(ctx, func() { forget() })
	}
	batches, err := svc.Watch(ctx, t, o)
	if err != nil {
		end()
		return nil, err
	}
	return func(yield func([]api.Event, error) bool) {
		defer end()
		batches(yield)
	}, nil
}

// mortal is a Connector whose streams end when its life does, or its link.
type mortal struct {
	api.Connector
	life context.Context
	link *link
}

func (m mortal) Connect(ctx context.Context, t api.Target, params url.Values) (api.Stream, error) {
	up, err := m.link.state()
	if err != nil {
		return nil, err
	}
	ctx, end := context.WithCancel(ctx)
	dies, cut := context.AfterFunc(m.life, end), context.AfterFunc(up, end)
	context.AfterFunc(ctx, func() { dies(); cut() })
	return m.Connector.Connect(ctx, t, params)
}
