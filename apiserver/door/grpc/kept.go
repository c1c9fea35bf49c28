package grpc

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/url"
	"strings"
	"sync"
	"time"

	rpc "google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"optimist/apiserver/door"
	"optimist/internal/api"
	"optimist/internal/wire"
	"optimist/proto"
)

// Kept is the door of kept connections: it asks where others are asked.
type Kept struct {
	register func(component string, c api.Connector) (unregister func())
	log      *slog.Logger
	conns    *wire.Queue
}

// NewKept makes the door; register is the hub's.
func NewKept(register func(string, api.Connector) func(), addr net.Addr, log *slog.Logger) *Kept {
	return &Kept{register: register, log: log, conns: wire.NewQueue(addr)}
}

// Enter takes a connection that a component has opened to be asked on.
func (k *Kept) Enter(c *tls.Conn) { k.conns.Put(c) }

// Run keeps each connection registered while it lives; it ends them all, and returns, when ctx ends.
func (k *Kept) Run(ctx context.Context) error {
	defer context.AfterFunc(ctx, func() { k.conns.Close() })()
	var held sync.WaitGroup
	defer held.Wait()
	for {
		c, err := k.conns.Accept()
		if err != nil {
			return nil // only ctx closes the queue
		}
		held.Go(func() { k.hold(ctx, c.(*tls.Conn)) })
	}
}

func mayKeep(u api.User) bool {
	return u.Name == api.UserScheduler || u.Name == api.UserControllers || strings.HasPrefix(u.Name, api.NodePrefix) && u.In(api.GroupNodes)
}

func (k *Kept) hold(ctx context.Context, c *tls.Conn) {
	defer c.Close()
	u, _ := door.User(c.ConnectionState())
	if !mayKeep(u) {
		k.log.Warn("refused a kept connection: only nodes, scheduler and controllers keep one", "peer", u.Name, "from", c.RemoteAddr())
		return
	}
	conn, err := rpc.NewClient("passthrough:///"+u.Name,
		rpc.WithTransportCredentials(insecure.NewCredentials()), // TLS is below already
		rpc.WithContextDialer(just(c)), rpc.WithIdleTimeout(0), rpc.WithDisableRetry(), rpc.WithDisableServiceConfig(),
		rpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 15 * time.Second, Timeout: 10 * time.Second, PermitWithoutStream: true}))
	if err != nil {
		k.log.Error("cannot use a kept connection", "peer", u.Name, "err", err)
		return
	}
	defer conn.Close()
	conn.Connect()
	if !await(ctx, conn, func(s connectivity.State) bool { return s == connectivity.Ready }) {
		return
	}
	defer k.register(u.Name, asked{proto.NewKeptClient(conn), u.Name})()
	k.log.Info("a component keeps a connection", "peer", u.Name, "from", c.RemoteAddr())
	await(ctx, conn, func(s connectivity.State) bool { return s != connectivity.Ready })
	k.log.Info("a kept connection has ended", "peer", u.Name, "from", c.RemoteAddr())
}

// await waits for a state; false when the connection broke first, or ctx ended.
func await(ctx context.Context, conn *rpc.ClientConn, want func(connectivity.State) bool) bool {
	for {
		s := conn.GetState()
		if want(s) {
			return true
		}
		if s == connectivity.TransientFailure || s == connectivity.Shutdown || !conn.WaitForStateChange(ctx, s) {
			return false
		}
	}
}

// just dials a connection that is there already, once.
func just(c net.Conn) func(context.Context, string) (net.Conn, error) {
	left := make(chan net.Conn, 1)
	left <- c
	return func(context.Context, string) (net.Conn, error) {
		select {
		case c := <-left:
			return c, nil
		default:
			return nil, errors.New("the kept connection has ended")
		}
	}
}

// asked is a component at the other end of its kept connection.
type asked struct {
	proto.KeptClient
	component string
}

func (a asked) Connect(ctx context.Context, t api.Target, params url.Values) (api.Stream, error) {
	s, err := wire.Open(ctx, a.KeptClient.Connect, t, params)
	if err != nil && wire.IsTransport(err) {
		return nil, apierrors.NewServiceUnavailable("the connection to " + a.component + " broke: try again")
	}
	return s, wire.DecodeError(err)
}
