package grpc

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime/debug"
	"strings"
	"time"

	rpc "google.golang.org/grpc"
	creds "google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/tap"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"optimist/apiserver/door"
	"optimist/internal/api"
	"optimist/internal/wire"
	"optimist/proto"
)

const (
	maxRequest = 8 << 20         // bytes; objects are refused long before
	maxStreams = 10_000          // calls and watches at once, per connection
	maxTokens  = 600             // of those who show a token, on all connections; of one of them a third
	workers    = 4               // goroutines kept for calls: they spare growing a stack for each
	buffer     = 64 << 10        // per connection and direction
	window     = 1 << 20         // what a client may send unread; fixed, so that gRPC need not estimate it
	patience   = 3 * time.Second // for calls under way when the server stops
)

// Server offers a Service to connections whose TLS is done.
type Server struct {
	// Authenticate says who shows a bearer token; nil: everybody needs a certificate.
	Authenticate func(ctx context.Context, from net.Addr, token string) (api.User, error)
	// Impersonate returns a context in which the caller is somebody else, if he may be; nil: nobody may.
	Impersonate func(ctx context.Context, as api.User) (context.Context, error)

	objects *objects
	log     *slog.Logger
	conns   *wire.Queue
}

// New makes a server; addr is where its connections arrive.
func New(svc api.Service, catalogue *api.Catalogue, addr net.Addr, log *slog.Logger) *Server {
	return &Server{objects: &objects{svc: svc, catalogue: catalogue}, log: log, conns: wire.NewQueue(addr)}
}

func (s *Server) Enter(c *tls.Conn) { s.conns.Put(c) }

// Run serves until ctx ends.
func (s *Server) Run(ctx context.Context) error {
	g := guard{log: s.log, authenticate: s.Authenticate, impersonate: s.Impersonate, tokens: &door.Places{Most: maxTokens}}
	server := rpc.NewServer(
		rpc.Creds(credentials{}), rpc.InTapHandle(g.tap), rpc.UnaryInterceptor(g.unary), rpc.StreamInterceptor(g.streams(ctx)),
		rpc.MaxRecvMsgSize(maxRequest), rpc.MaxConcurrentStreams(maxStreams), rpc.NumStreamWorkers(workers),
		rpc.ReadBufferSize(buffer), rpc.WriteBufferSize(buffer),
		rpc.InitialWindowSize(window), rpc.InitialConnWindowSize(4*window),
		rpc.KeepaliveParams(keepalive.ServerParameters{Time: 30 * time.Second, Timeout: 10 * time.Second}),
		rpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}))
	proto.RegisterObjectsServer(server, s.objects)
	stopped := make(chan struct{})
	defer context.AfterFunc(ctx, func() { defer close(stopped); stop(server) })()
	err := server.Serve(s.conns)
	if ctx.Err() == nil {
		server.Stop()
		return err
	}
	<-stopped
	return nil
}

// stop lets calls under way finish, but not for long.
func stop(s *rpc.Server) {
	t := time.AfterFunc(patience, s.Stop)
	defer t.Stop()
	s.GracefulStop()
}

// guard stands before every call.
type guard struct {
	log          *slog.Logger
	authenticate func(context.Context, net.Addr, string) (api.User, error) // may be nil
	impersonate  func(context.Context, api.User) (context.Context, error)  // may be nil
	tokens       *door.Places
}

func (g guard) unary(ctx context.Context, req any, info *rpc.UnaryServerInfo, next rpc.UnaryHandler) (reply any, err error) {
	defer func() { err = g.outcome(info.FullMethod, err, recover()) }()
	if ctx, err = g.identify(ctx); err != nil {
		return nil, err
	}
	return next(ctx, req)
}

// streams guards watches and streams, and ends them with running.
func (g guard) streams(running context.Context) rpc.StreamServerInterceptor {
	return func(srv any, s rpc.ServerStream, info *rpc.StreamServerInfo, next rpc.StreamHandler) (err error) {
		defer func() { err = g.outcome(info.FullMethod, err, recover()) }()
		ctx, err := g.identify(s.Context())
		if err != nil {
			return err
		}
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(running, cancel)()
		err = next(srv, stream{s, ctx})
		if running.Err() != nil {
			return apierrors.NewServiceUnavailable("the API server is stopping")
		}
		return err
	}
}

// outcome turns what a call came to into what the client is told, and logs what is our own fault.
func (g guard) outcome(method string, err error, panicked any) error {
	if panicked != nil {
		g.log.Error("a call panicked", "method", method, "panic", panicked, "stack", string(debug.Stack()))
		return wire.EncodeError(apierrors.NewInternalError(fmt.Errorf("panic in %s: %v", method, panicked)))
	}
	if err == nil {
		return nil
	}
	told := wire.EncodeError(err)
	if wire.Ours(told) {
		g.log.Error("a call failed", "method", method, "err", err)
	}
	return told
}

type stream struct {
	rpc.ServerStream
	ctx context.Context
}

func (s stream) Context() context.Context { return s.ctx }

// tap lets a call in only from who is known, before anything of it is read: nobody unknown makes us keep messages for him.
func (g guard) tap(ctx context.Context, info *tap.Info) (known context.Context, err error) {
	defer func() { err = g.outcome(info.FullMethodName, err, recover()) }()
	return g.caller(ctx)
}

// identify finds out for whom somebody calls.
func (g guard) identify(ctx context.Context) (context.Context, error) {
	as := strings.Join(metadata.ValueFromIncomingContext(ctx, wire.Impersonate), "")
	if as == "" {
		return ctx, nil
	}
	var u api.User
	if json.Unmarshal([]byte(as), &u) != nil || g.impersonate == nil {
		return ctx, apierrors.NewBadRequest("whom to impersonate cannot be read")
	}
	return g.impersonate(ctx, u)
}

// caller is whom the connection's certificate names, else whom the call's token does.
func (g guard) caller(ctx context.Context) (context.Context, error) {
	if p, ok := peer.FromContext(ctx); ok {
		if info, ok := p.AuthInfo.(identity); ok && info.user.Name != "" {
			return api.WithUser(ctx, info.user), nil
		}
		token := door.Bearer(strings.Join(metadata.ValueFromIncomingContext(ctx, "authorization"), ""))
		if token != "" && g.authenticate != nil {
			u, err := g.authenticate(ctx, p.Addr, token)
			if err == nil && !g.tokens.Enter(u.Name) {
				err = apierrors.NewTooManyRequests("too many calls of "+u.Name+" are under way, or of all who show tokens: try again later", 1)
			} else if err == nil {
				context.AfterFunc(ctx, func() { g.tokens.Leave(u.Name) })
			}
			return api.WithUser(ctx, u), err
		}
	}
	return ctx, apierrors.NewUnauthorized("no client certificate: use a kubeconfig of this cluster")
}

// credentials tell gRPC who is at the other end of a connection whose handshake the door has done.
type credentials struct{}

// identity is what a call can learn of its connection. Its user is found out once per connection.
type identity struct {
	creds.CommonAuthInfo
	user api.User // without a name: no client certificate
}

func (identity) AuthType() string { return "tls" }

func (credentials) ServerHandshake(c net.Conn) (net.Conn, creds.AuthInfo, error) {
	conn, ok := c.(*tls.Conn)
	if !ok {
		return nil, nil, errors.New("the connection did not come through the door")
	}
	user, _ := door.User(conn.ConnectionState())
	return c, identity{creds.CommonAuthInfo{SecurityLevel: creds.PrivacyAndIntegrity}, user}, nil
}

// ClientHandshake implements gRPC's TransportCredentials; a server does not need it.
func (credentials) ClientHandshake(context.Context, string, net.Conn) (net.Conn, creds.AuthInfo, error) {
	return nil, nil, errors.New("these credentials are a server's")
}

// Info, Clone and OverrideServerName implement gRPC's TransportCredentials.
func (credentials) Info() creds.ProtocolInfo            { return creds.ProtocolInfo{SecurityProtocol: "tls"} }
func (c credentials) Clone() creds.TransportCredentials { return c }
func (credentials) OverrideServerName(string) error     { return nil }
