package rest

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"optimist/apiserver/door"
	"optimist/internal/api"
	"optimist/internal/wire"
)

const (
	maxShort   = 600    // requests under way at once, but for
	maxLong    = 20_000 // watches and streams; of one user a third, lest one who dawdles keeps all others out
	shortTime  = 60 * time.Second
	headerTime = 30 * time.Second // to send a request's head,
	readTime   = 75 * time.Second // all of it
	idleTime   = 3 * time.Minute  // and between requests
	patience   = 3 * time.Second  // for requests under way when the server stops
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
	// Objects is how many objects there are, by resource ("deployments.apps"), for /metrics; nil: it does not say.
	Objects func() map[string]int
	Addr    net.Addr // where connections arrive
	Log     *slog.Logger
}

// Server offers a Service over HTTP to connections whose TLS is done.
type Server struct {
	Config
	conns       *wire.Queue
	short, long door.Places
	metrics     *metrics
	texts       texts
}

// New makes a server. Its Routes may be added to until Run.
func New(c Config) *Server {
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Routes == nil {
		c.Routes = map[string]http.Handler{}
	}
	m := &metrics{objects: c.Objects, series: map[string]*counted{}, inflight: map[string]int{}}
	c.Routes["/metrics"] = m
	return &Server{Config: c, metrics: m, conns: wire.NewQueue(c.Addr), short: door.Places{Most: maxShort}, long: door.Places{Most: maxLong}}
}

// Enter takes a connection that speaks h2 or http/1.1, or has named no protocol.
func (s *Server) Enter(c *tls.Conn) { s.conns.Put(c) }

// Run serves until ctx ends; watches and streams end with it, other requests under way may finish.
func (s *Server) Run(ctx context.Context) error {
	base, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	server := &http.Server{Handler: s.metrics.around(s, s.parse), ReadHeaderTimeout: headerTime, ReadTimeout: readTime, WriteTimeout: readTime + shortTime, IdleTimeout: idleTime,
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
	t, objects, err := s.parse(r.URL.Path)
	if objects && err == nil {
		return s.object(w, r, t)
	}
	if s.Allow != nil {
		if err := s.Allow(r.Context(), strings.ToLower(r.Method), r.URL.Path); err != nil {
			return err
		}
	}
	if h := s.route(r.URL.Path); h != nil && !objects {
		h.ServeHTTP(w, r)
		return nil
	}
	return errNoSuchPath
}

// object answers a request for objects.
func (s *Server) object(w http.ResponseWriter, r *http.Request, t api.Target) error {
	v, err := verb(r, t)
	if err != nil {
		return err
	}
	c := &call{w: w, r: r, Target: t, query: r.URL.Query()}
	var sel selected
	if v == api.VerbList {
		if sel, err = c.selection(); err != nil {
			return err
		}
		if sel.Watch {
			v = api.VerbWatch
		}
	}
	if t.Sub == "" && t.Kind.Verbs != nil && !slices.Contains(t.Kind.Verbs, v) {
		return errMethod
	}
	done, err := s.admit(c, v == api.VerbWatch || v == api.VerbConnect)
	if err != nil {
		return err
	}
	defer done()
	if v == api.VerbConnect {
		return s.connect(c)
	}
	if err := c.accept(v == api.VerbWatch); err != nil {
		return err
	}
	switch v {
	case api.VerbGet:
		return s.get(c)
	case api.VerbList:
		return s.list(c, sel)
	case api.VerbWatch:
		return s.watch(c, sel)
	case api.VerbDelete, api.VerbDeleteCollection:
		return s.delete(c, v)
	}
	return s.write(c, v)
}

// admit gives a request its place among those under way, and its context: a short one has until its time limit, a long one until the server stops.
func (s *Server) admit(c *call, long bool) (done func(), err error) {
	limit, in := shortTime, &s.short
	if long {
		in = &s.long
	} else if asked := c.query.Get("timeout"); asked != "" {
		own, err := time.ParseDuration(asked)
		if err != nil {
			return nil, apierrors.NewBadRequest("invalid timeout specified in the request URL - " + err.Error())
		}
		if own > 0 {
			limit = min(limit, own)
		}
	}
	u, _ := api.UserFrom(c.r.Context())
	if !in.Enter(u.Name) {
		return nil, apierrors.NewTooManyRequests("Too many requests, please try again later.", 1)
	}
	if !long {
		ctx, cancel := context.WithTimeout(c.r.Context(), limit)
		c.ctx = ctx
		return func() { cancel(); in.Leave(u.Name) }, nil
	}
	ctx, cancel := context.WithCancel(c.r.Context())
	c.ctx = ctx
	run, ok := ctx.Value(stopping{}).(context.Context)
	if !ok {
		run = ctx
	}
	unhook := context.AfterFunc(run, cancel)
	return func() { unhook(); cancel(); in.Leave(u.Name) }, nil
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
	var conn tls.ConnectionState
	if r.TLS != nil {
		conn = *r.TLS
	}
	u, err := s.Identify(r.Context(), conn, door.Bearer(r.Header.Get("Authorization")), addr(r.RemoteAddr))
	if err != nil {
		return nil, err
	}
	ctx := api.WithUser(r.Context(), u)
	as, asked, err := impersonated(r.Header)
	switch {
	case err != nil:
		return nil, err
	case asked && s.Impersonate == nil:
		return nil, apierrors.NewForbidden(schema.GroupResource{Resource: "users"}, as.Name, errors.New("nobody may impersonate"))
	case asked:
		return s.Impersonate(ctx, as)
	}
	return ctx, nil
}

// impersonated is who the caller wants to be.
func impersonated(h http.Header) (u api.User, asked bool, err error) {
	u = api.User{Name: h.Get("Impersonate-User"), Groups: h.Values("Impersonate-Group"), UID: h.Get("Impersonate-Uid")}
	for name, values := range h {
		if key, ok := strings.CutPrefix(name, "Impersonate-Extra-"); ok {
			if key, err = url.PathUnescape(strings.ToLower(key)); err != nil {
				return u, true, apierrors.NewBadRequest(name + ": " + err.Error())
			}
			if u.Extra == nil {
				u.Extra = map[string][]string{}
			}
			u.Extra[key] = values
		}
	}
	return u, u.Name != "" || len(u.Groups) > 0 || u.UID != "" || u.Extra != nil, nil
}

// addr is a TCP address as text.
type addr string

func (addr) Network() string  { return "tcp" }
func (a addr) String() string { return string(a) }
