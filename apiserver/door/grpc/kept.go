package grpc

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/url"
	"strings"
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
	Register func(component string, c api.Connector) (unregister func())
	Log      *slog.Logger
	Stop     context.Context // ends them all
}

// Enter takes a connection that a component has opened to be asked on, and keeps it registered while it lives.
func (k Kept) Enter(c *tls.Conn) {
	u, _ := door.User(c.ConnectionState())
	if !mayKeep(u) {
		k.Log.Warn("refused a kept connection: only nodes, scheduler and controllers keep one", "user", u.Name, "from", c.RemoteAddr())
		c.Close()
		return
	}
	go k.hold(u.Name, c)
}

func mayKeep(u api.User) bool {
	return u.Name == api.UserScheduler || u.Name == api.UserControllers || strings.HasPrefix(u.Name, api.NodePrefix) && u.In(api.GroupNodes)
}

func (k Kept) hold(component string, c *tls.Conn) {
	conn, err := rpc.NewClient("passthrough:///"+component,
		rpc.WithTransportCredentials(insecure.NewCredentials()), // TLS is below already
		rpc.WithContextDialer(just(c)), rpc.WithIdleTimeout(0), rpc.WithDisableRetry(), rpc.WithDisableServiceConfig(),
		rpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 15 * time.Second, Timeout: 10 * time.Second, PermitWithoutStream: true}))
	if err != nil {
		k.Log.Error("cannot use a kept connection", "component", component, "err", err)
		c.Close()
		return
	}
	defer c.Close()
	defer conn.Close()
	conn.Connect()
	if !k.await(conn, func(s connectivity.State) bool { return s == connectivity.Ready }) {
		return
	}
	defer k.Register(component, asked{proto.NewKeptClient(conn), component})()
	k.Log.Info("a component keeps a connection", "component", component, "from", c.RemoteAddr())
	k.await(conn, func(s connectivity.State) bool { return s != connectivity.Ready })
	k.Log.Info("a kept connection has ended", "component", component, "from", c.RemoteAddr())
}

// await waits for a state; false when the connection broke first, or the server stops.
func (k Kept) await(conn *rpc.ClientConn, want func(connectivity.State) bool) bool {
	for {
		s := conn.GetState()
		if want(s) {
			return true
		}
		if s == connectivity.TransientFailure || s == connectivity.Shutdown || !conn.WaitForStateChange(k.Stop, s) {
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
	s, err := a.KeptClient.Connect(ctx)
	if err != nil {
		return nil, a.explain(err)
	}
	stream, err := wire.Open(s, t, params)
	if err != nil {
		return nil, a.explain(err)
	}
	return stream, nil
}

func (a asked) explain(err error) error {
	if wire.IsTransport(err) {
		return apierrors.NewServiceUnavailable("the connection to " + a.component + " broke: try again")
	}
	return wire.DecodeError(err)
}
