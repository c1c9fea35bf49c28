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

// servers is the API server as the other parts see it: the one that runs now. It is made anew when it is started again, over the same store.
type servers struct {
	cfg Config

	mu        sync.Mutex // guards what follows
	now       *serving   // nil: it is dead
	reachable map[string]*caller
}

// serving is one life of the API server.
type serving struct {
	*apiserver.Server
	life context.Context
	end  context.CancelFunc
	used bool // it has run
}

// caller is a part that can be asked.
type caller struct {
	user       string
	connector  api.Connector
	unregister func()
}

func newServers(cfg Config) (*servers, error) {
	s := &servers{cfg: cfg, reachable: map[string]*caller{}}
	return s, s.renew()
}

// renew begins a life.
func (s *servers) renew() error {
	log, ring := s.cfg.console("apiserver")
	c := apiserver.Config{Store: s.cfg.Store, TLS: s.cfg.TLS, Ranges: s.cfg.Ranges, Log: log, Ring: ring}
	var l net.Listener
	if s.cfg.Listen != "" {
		var err error
		if l, err = port.Listen(s.cfg.Listen); err != nil {
			return err
		}
		c.Listener = l
	}
	server, err := apiserver.New(c)
	if err != nil {
		if l != nil {
			l.Close()
		}
		return err
	}
	now := &serving{Server: server}
	now.life, now.end = context.WithCancel(context.Background())
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = now
	for _, c := range s.reachable {
		c.unregister = server.Register(c.user, c.connector)
	}
	return nil
}

// prepare makes a new server where the last one has run already, and returns its Run.
func (s *servers) prepare() (func(context.Context) error, error) {
	s.mu.Lock()
	fresh := s.now != nil && !s.now.used
	s.mu.Unlock()
	if !fresh {
		if err := s.renew(); err != nil {
			return nil, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now.used = true
	return s.run(s.now), nil
}

func (s *servers) run(one *serving) func(context.Context) error {
	return func(ctx context.Context) error {
		defer s.bury(one)
		if one.Listener != nil {
			defer one.Listener.Close()
		}
		return one.Run(ctx)
	}
}

func (s *servers) bury(one *serving) {
	s.mu.Lock()
	defer s.mu.Unlock()
	one.end()
	if s.now == one {
		s.now = nil
	}
}

// state is the server that runs now; its context ends when it does.
func (s *servers) state() (*apiserver.Server, context.Context, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.now == nil {
		return nil, nil, apierrors.NewServiceUnavailable("the API server does not run")
	}
	return s.now.Server, s.now.life, nil
}

// register makes a part answer for a user, now and through the API server's further lives.
func (s *servers) register(part, user string, to api.Connector) (unregister func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := &caller{user: user, connector: to, unregister: func() {}}
	if s.now != nil {
		c.unregister = s.now.Register(user, to)
	}
	s.reachable[part] = c
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		c.unregister()
		if s.reachable[part] == c {
			delete(s.reachable, part)
		}
	}
}
