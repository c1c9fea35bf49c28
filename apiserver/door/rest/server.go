package rest

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"optimist/internal/api"
	"optimist/internal/wire"
)

const (
	maxShort       = 600    // requests under way at once, but for
	maxLong        = 20_000 // watches and streams
	shortTime      = 60 * time.Second
	headerTime     = 30 * time.Second // to send a request's head, and then
	idleTime       = 3 * time.Minute  // between requests
	patience       = 3 * time.Second  // for requests under way when the server stops
	bookmarkPeriod = time.Minute      // how often watches of quiet kinds are told how far they have come
)

// Config binds the door to what is behind it.
type Config struct {
	Service   api.Service
	Catalogue *api.Catalogue
	// Identify says who speaks on a connection and shows a bearer token (""): an APIStatus error refuses.
	Identify func(ctx context.Context, conn tls.ConnectionState, token string, from net.Addr) (api.User, error)
	// Impersonate returns a context in which the caller is somebody else, if he may be; nil: nobody may.
	Impersonate func(ctx context.Context, as api.User) (context.Context, error)
	// Allow decides on paths that name no object; verb is the method in lower case. nil: everybody may.
	Allow func(ctx context.Context, verb, path string) error
	// Table prints objects of a kind: the columns, and each object's cells.
	Table func(k *api.Kind, objects []api.Object) ([]metav1.TableColumnDefinition, [][]any)
	// Routes serve what is no object, each its path and all below it: "/version", "/openapi/v3". The longest wins.
	Routes map[string]http.Handler
	Addr   net.Addr // where connections arrive
	Log    *slog.Logger
}

// Server offers a Service over HTTP to connections whose TLS is done.
type Server struct {
	Config
	conns       *wire.Queue
	short, long chan struct{} // one element for each request under way
}

// New makes a server. Its Routes may be added to until Run.
func New(c Config) *Server {
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Routes == nil {
		c.Routes = map[string]http.Handler{}
	}
	return &Server{Config: c, conns: wire.NewQueue(c.Addr), short: make(chan struct{}, maxShort), long: make(chan struct{}, maxLong)}
}

// Enter takes a connection that speaks h2 or http/1.1, or has named no protocol.
func (s *Server) Enter(c *tls.Conn) { s.conns.Put(c) }

// Run serves until ctx ends; watches and streams end with it, other requests under way may finish.
func (s *Server) Run(ctx context.Context) error {
	base, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	server := &http.Server{Handler: s, ReadHeaderTimeout: headerTime, IdleTimeout: idleTime, MaxHeaderBytes: 64 << 10,
		BaseContext: func(net.Listener) context.Context { return context.WithValue(base, stopping{}, ctx) },
		ErrorLog:    slog.NewLogLogger(s.Log.Handler(), slog.LevelDebug),
		HTTP2:       &http.HTTP2Config{MaxConcurrentStreams: 1000, SendPingTimeout: 30 * time.Second, PingTimeout: 15 * time.Second, WriteByteTimeout: time.Minute}}
	stopped := make(chan struct{})
	defer context.AfterFunc(ctx, func() {
		defer close(stopped)
		patient, done := context.WithTimeout(base, patience)
		defer done()
		if server.Shutdown(patient) != nil {
			server.Close()
		}
	})()
	err := server.Serve(s.conns)
	if ctx.Err() == nil {
		return errors.Join(err, server.Close())
	}
	<-stopped
	return nil
}

// stopping is under which key a request's context has the server's own.
type stopping struct{}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer func() {
		p := recover()
		if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) {
			panic(p) // a handler gives its connection up
		}
		if p != nil {
			s.Log.Error("a request panicked", "method", r.Method, "path", r.URL.Path, "panic", p, "stack", string(debug.Stack()))
			s.fail(w, r, apierrors.NewInternalError(fmt.Errorf("panic in %s %s: %v", r.Method, r.URL.Path, p)))
		}
	}()
	w.Header().Set("Cache-Control", "no-cache, private")
	ctx, err := s.identify(r)
	if err == nil {
		err = s.serve(w, r.WithContext(ctx))
	}
	if err != nil {
		s.fail(w, r, err)
	}
}

// serve sends a request to where it belongs.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) error {
	if err := s.allow(r); err != nil {
		return err
	}
	if h := s.route(r.URL.Path); h != nil {
		h.ServeHTTP(w, r)
		return nil
	}
	return errNoSuchPath
}

func (s *Server) allow(r *http.Request) error {
	if s.Allow == nil {
		return nil
	}
	return s.Allow(r.Context(), strings.ToLower(r.Method), r.URL.Path)
}

// route is the handler with the longest path above this one; nil = none.
func (s *Server) route(path string) http.Handler {
	for path = strings.TrimSuffix(path, "/"); path != ""; path = path[:strings.LastIndexByte(path, '/')] {
		if h := s.Routes[path]; h != nil {
			return h
		}
	}
	return s.Routes["/"]
}

// identify finds out who asks.
func (s *Server) identify(r *http.Request) (context.Context, error) {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		token = ""
	}
	u, err := s.Identify(r.Context(), *r.TLS, strings.TrimSpace(token), addr(r.RemoteAddr))
	if err != nil {
		return nil, err
	}
	return api.WithUser(r.Context(), u), nil
}

// addr is a TCP address as text.
type addr string

func (addr) Network() string  { return "tcp" }
func (a addr) String() string { return string(a) }
