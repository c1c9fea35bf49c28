package apiserver

import (
	"context"
	"crypto/ecdsa"
	"crypto/tls"
	"log/slog"
	"net"
	"net/netip"
	"net/url"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"optimist/apiserver/admission"
	"optimist/apiserver/auth"
	"optimist/apiserver/door"
	"optimist/apiserver/door/grpc"
	"optimist/apiserver/door/rest"
	"optimist/apiserver/encryption"
	"optimist/apiserver/hub"
	"optimist/apiserver/journal"
	"optimist/apiserver/registry"
	"optimist/apiserver/registry/kinds"
	"optimist/apiserver/signer"
	"optimist/apiserver/store"
	"optimist/internal/api"
	"optimist/internal/console"
	"optimist/internal/pki"
	"optimist/internal/wire"
)

type Config struct {
	Store     store.Store    // stays the caller's, who closes it after Run
	Listeners []net.Listener // none = in-process only
	TLS       *tls.Config    // pki.ServerTLS; needed with a Listener
	Ranges    registry.Ranges
	Advertise netip.AddrPort      // where pods reach this server; zero = the Service kubernetes gets no endpoints
	Keep      journal.Keep        // how much history there is
	Cluster   string              // its name, for machines that join; "" = they are told nothing
	JoinAt    string              // host:port by which they reach this server; "" = they do not
	Keys      *encryption.Keys    // for Secrets in the store; nil = they lie there in plain text
	CA        *pki.CA             // signs their certificates, and is what pods believe; nil = none are given, and pods get no way to this server
	TokenKeys []*ecdsa.PrivateKey // of ServiceAccounts' tokens (pki.TokenKeys); none = there are no such tokens
	Log       *slog.Logger
	Ring      *console.Ring // what `ctl logs apiserver` shows; may be nil
}

// Server is an API server. It serves in-process callers as soon as it exists, the network while it runs.
type Server struct {
	Config
	registry *registry.Registry
	journal  *journal.Journal
	service  *auth.Gate // before the registry
	hub      *hub.Hub
}

// New binds store, registry and auth.
func New(c Config) (*Server, error) {
	roles, err := auth.Builtin()
	if err != nil {
		return nil, err
	}
	h := &hub.Hub{}
	accounts := &admission.ServiceAccount{Mounts: c.CA != nil}
	checks := &auth.Checks{}
	options := registry.Options{Rules: kinds.All(), Mutators: []registry.Mutator{accounts}, Checkers: []registry.Checker{checks}, Dialer: h, Ranges: c.Ranges, Log: c.Log}
	if c.Keys != nil {
		options.Cipher = c.Keys
	}
	r, err := registry.New(c.Store, options)
	if err != nil {
		return nil, err
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	accounts.Service = r
	j := journal.New(c.Store, api.Builtin, c.Keep, c.Log)
	checks.Gate = auth.New(r, roles, c.TokenKeys...)
	checks.Gate.Log = c.Log
	s := &Server{Config: c, registry: r, journal: j, service: checks.Gate, hub: h}
	h.Register(api.UserAPIServer, self{s})
	return s, nil
}

// Run serves until ctx ends. Watches end with it, writes under way are finished.
func (s *Server) Run(ctx context.Context) error {
	g, running := errgroup.WithContext(ctx)
	g.Go(func() error { return s.registry.Run(running) })
	g.Go(func() error { return s.journal.Run(running) })
	g.Go(func() error { return s.service.Run(running) })
	g.Go(func() error { return (&signer.Signer{Service: s.Service(own), CA: s.CA, Log: s.Log}).Run(running) })
	g.Go(func() error {
		if err := s.registry.Bootstrap(running); err != nil {
			return err
		}
		g.Go(func() error { return s.reseal(running) })
		g.Go(func() error { return s.keepServices(running) })
		if s.CA != nil {
			g.Go(func() error { return s.publishCA(running) })
		}
		return s.serve(running)
	})
	if err := g.Wait(); ctx.Err() == nil {
		return err
	}
	return nil
}

// serve opens the doors, if there is a wall to put them in.
func (s *Server) serve(ctx context.Context) error {
	if len(s.Listeners) == 0 {
		return nil
	}
	g, ctx := errgroup.WithContext(ctx)
	native := grpc.New(s.service, api.Builtin, s.Listeners[0].Addr(), s.Log)
	native.Authenticate, native.Impersonate = s.service.Token, s.service.Impersonate
	kept := grpc.NewKept(s.hub.Register, s.Listeners[0].Addr(), s.Log)
	web := rest.New(rest.Config{Service: s.service, Catalogue: api.Builtin, Identify: s.service.Identify, Impersonate: s.service.Impersonate, Allow: s.service.Path,
		Table: s.registry.Table, Routes: s.routes(), Objects: s.objects, Addr: s.Listeners[0].Addr(), Log: s.Log})
	g.Go(func() error { return native.Run(ctx) })
	g.Go(func() error { return kept.Run(ctx) })
	g.Go(func() error { return web.Run(ctx) })
	doors := []door.Door{{Protocol: wire.ALPN, Enter: native.Enter}, {Protocol: wire.ALPNKept, Enter: kept.Enter},
		{Protocol: "h2", Enter: web.Enter}, {Protocol: "http/1.1", Enter: web.Enter}, {Protocol: "", Enter: web.Enter}}
	for _, l := range s.Listeners {
		g.Go(func() error { return door.Serve(ctx, l, s.TLS, doors) })
		s.Log.Info("serving", "address", l.Addr().String())
	}
	return g.Wait()
}

// Register makes c answer for a component of this process: what client.Keep does over the network.
func (s *Server) Register(component string, c api.Connector) (unregister func()) {
	return s.hub.Register(component, c)
}

// own is whom the API server's own parts speak for.
var own = api.User{Name: api.UserAPIServer, Groups: []string{api.GroupMasters}}

// Service is access from within this process, as u: authorised like over the network, without encoding.
func (s *Server) Service(u api.User) api.Service {
	return api.Via(func(ctx context.Context) (context.Context, api.Service, error) {
		return api.WithUser(ctx, u), s.service, nil
	})
}

// self answers for the API server itself.
type self struct{ *Server }

func (s self) Connect(ctx context.Context, t api.Target, params url.Values) (api.Stream, error) {
	switch {
	case t.Sub == "journal":
		return s.journal.Connect(ctx, params)
	case t.Sub == "encryption":
		return s.rotate(ctx)
	case t.Sub == "log" && s.Ring != nil:
		return s.Ring.Connect(ctx, params)
	}
	return nil, apierrors.NewBadRequest("the API server has a log, a journal and keys for encryption, but no " + t.Sub)
}
