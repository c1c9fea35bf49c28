package inprocess

import (
	"context"
	"net"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"optimist/apiserver"
	"optimist/internal/api"
	"optimist/internal/port"
)

// servers is the API server as the other parts see it: the one that runs now. Each start makes a new one, over the same store.
type servers struct {
	cfg Config

	mu      sync.Mutex // guards what follows
	now     *serving   // nil: it is dead
	callers map[string]*caller
}

// serving is one life of the API server.
type serving struct {
	*apiserver.Server
	life context.Context
	end  context.CancelFunc
	ran  bool
}

// caller is a part that can be asked.
type caller struct {
	api.Connector
	user   string
	forget func()
}

// renew begins a life. It can be asked at once, also before it runs.
func (s *servers) renew() (err error) {
	log, ring := s.cfg.console("apiserver")
	c := apiserver.Config{Store: s.cfg.Store, TLS: s.cfg.TLS, CA: s.cfg.CA, TokenKeys: s.cfg.Tokens, Ranges: s.cfg.Ranges, Log: log, Ring: ring}
	if s.cfg.Listen != "" {
		l, err := port.Listen(s.cfg.Listen)
		if err != nil {
			return err
		}
		c.Listeners = []net.Listener{l}
	}
	now := &serving{}
	if now.Server, err = apiserver.New(c); err != nil {
		return err
	}
	now.life, now.end = context.WithCancel(context.Background())
	s.now = now
	for _, c := range s.callers {
		c.forget = now.Register(c.user, c.Connector)
	}
	return nil
}

// component is the API server as a part: the first life is there already.
func (s *servers) component() (func(context.Context) error, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.now == nil || s.now.ran {
		if err := s.renew(); err != nil {
			return nil, err
		}
	}
	one := s.now
	one.ran = true
	return func(ctx context.Context) error {
		defer s.bury(one)
		return one.Run(ctx)
	}, nil
}

func (s *servers) bury(one *serving) {
	for _, l := range one.Listeners {
		l.Close()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	one.end()
	s.now = nil
}

// state is the server that runs now.
func (s *servers) state() (*serving, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.now == nil {
		return nil, apierrors.NewServiceUnavailable("the API server does not run")
	}
	return s.now, nil
}

// register makes a part answer for a user, now and through the API server's further lives.
func (s *servers) register(part, user string, to api.Connector) (unregister func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := &caller{Connector: to, user: user, forget: func() {}}
	if s.now != nil {
		c.forget = s.now.Register(user, to)
	}
	s.callers[part] = c
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		c.forget()
		delete(s.callers, part)
	}
}
