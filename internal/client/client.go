package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"iter"
	"log/slog"
	"net"
	"net/url"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/peer"

	"optimist/internal/api"
	"optimist/internal/pki"
	"optimist/internal/wire"
	"optimist/proto"
)

const (
	dialTimeout = 5 * time.Second
	maxBackoff  = 2 * time.Second // between attempts to connect
	buffer      = 64 << 10        // per connection and direction
	window      = 1 << 20         // what may be under way unread; fixed, so that gRPC need not estimate it
)

// Client asks one API server.
type Client struct {
	conn *grpc.ClientConn
	rpc  proto.ObjectsClient
	trouble
}

var _ api.Service = (*Client)(nil)

// New prepares a client; it connects when first used.
func New(c Config) (*Client, error) {
	conf, own, err := c.tls(wire.ALPN)
	if err != nil {
		return nil, err
	}
	options := []grpc.DialOption{
		grpc.WithTransportCredentials(credentials.NewTLS(conf)),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return c.dial(ctx) }),
		grpc.WithConnectParams(grpc.ConnectParams{MinConnectTimeout: dialTimeout,
			Backoff: backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: maxBackoff}}),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 20 * time.Second, Timeout: 10 * time.Second, PermitWithoutStream: true}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(1 << 30)), // a list is as long as it is
		grpc.WithReadBufferSize(buffer), grpc.WithWriteBufferSize(buffer),
		grpc.WithInitialWindowSize(window), grpc.WithInitialConnWindowSize(4 * window),
		grpc.WithDisableServiceConfig(), grpc.WithDisableRetry(), grpc.WithIdleTimeout(0)}
	if with := c.shows(); len(with) > 0 {
		options = append(options, grpc.WithPerRPCCredentials(with))
	}
	conn, err := grpc.NewClient("passthrough:///"+c.Server, options...)
	if err != nil {
		return nil, err
	}
	return &Client{conn: conn, rpc: proto.NewObjectsClient(conn), trouble: trouble{server: c.Server, source: c.Source, own: own}}, nil
}

// Close ends all that is under way.
func (c *Client) Close() error { return c.conn.Close() }

func (c *Client) Get(ctx context.Context, t api.Target, o api.GetOptions) (api.Result, error) {
	p, err := c.rpc.Get(ctx, &proto.GetRequest{Target: wire.EncodeTarget(t), At: int64(o.At)})
	if err != nil {
		return api.Result{}, c.explain(err)
	}
	return wire.DecodeResult(t, p)
}

func (c *Client) List(ctx context.Context, t api.Target, o api.ListOptions) (api.List, error) {
	p, err := c.rpc.List(ctx, &proto.ListRequest{Target: wire.EncodeTarget(t), Options: wire.EncodeListOptions(o)})
	if err != nil {
		return api.List{}, c.explain(err)
	}
	return wire.DecodeList(t, p)
}

// Write sends the fence and the causes that ctx carries along.
func (c *Client) Write(ctx context.Context, r api.Request) (api.Result, error) {
	if r.Fence == nil {
		r.Fence = api.FenceFrom(ctx)
	}
	w, err := wire.EncodeWrite(r, api.CausesFrom(ctx))
	if err != nil {
		return api.Result{}, err
	}
	var reached peer.Peer // stays empty when the request found no connection to leave by
	p, err := c.rpc.Write(ctx, w, grpc.Peer(&reached))
	if err != nil {
		return api.Result{}, c.explainWrite(err, reached.Addr != nil)
	}
	return wire.DecodeResult(r.Target, p)
}

func (c *Client) Now(ctx context.Context) (api.Revision, error) {
	p, err := c.rpc.Now(ctx, &proto.NowRequest{})
	return api.Revision(p.GetRevision()), c.explain(err)
}

// Watch holds a stream until ctx ends or the sequence is left; the sequence can be ranged over once.
func (c *Client) Watch(ctx context.Context, t api.Target, o api.WatchOptions) (iter.Seq2[[]api.Event, error], error) {
	ctx, cancel := context.WithCancel(ctx)
	s, err := c.rpc.Watch(ctx, wire.EncodeWatch(t, o))
	if err == nil {
		err = wire.Accepted(s)
	}
	if err != nil {
		cancel()
		return nil, c.explain(err)
	}
	return func(yield func([]api.Event, error) bool) {
		defer cancel()
		for {
			batch, err := c.next(t, s)
			if !yield(batch, err) || err != nil {
				return
			}
		}
	}, nil
}

func (c *Client) next(t api.Target, s grpc.ServerStreamingClient[proto.WatchBatch]) ([]api.Event, error) {
	p, err := s.Recv()
	if err != nil {
		return nil, c.explain(err)
	}
	return wire.DecodeEvents(t, p)
}

func (c *Client) Connect(ctx context.Context, t api.Target, params url.Values) (api.Stream, error) {
	s, err := wire.Open(ctx, c.rpc.Connect, t, params)
	return s, c.explain(err)
}

// Config says where the API server is and who we are.
type Config struct {
	Server        string                                                   // host:port
	ServerName    string                                                   // expected in the server's certificate; "" = the host
	CA, Cert, Key []byte                                                   // PEM
	Token         string                                                   // instead of Cert and Key: a bootstrap token, or a ServiceAccount's
	As            api.User                                                 // whose place to take; zero = nobody's
	Dial          func(ctx context.Context, addr string) (net.Conn, error) // nil = TCP
	Source        string                                                   // the file that all this is from, for messages
	Log           *slog.Logger                                             // Keep's; nil = slog.Default()

	own *pki.Fresh // Cert and Key as Source has them now; nil = as they are above
}

// Load reads a context ("" = the current one) of a kubeconfig.
func Load(kubeconfig, context string) (Config, error) {
	a, err := pki.LoadKubeconfig(kubeconfig, context)
	own := &pki.Fresh{Path: kubeconfig, Load: func() (tls.Certificate, error) {
		a, err := pki.LoadKubeconfig(kubeconfig, context)
		if err != nil {
			return tls.Certificate{}, err
		}
		return tls.X509KeyPair(a.Cert, a.Key)
	}}
	return Config{Server: a.Server, ServerName: a.ServerName, CA: a.CA, Cert: a.Cert, Key: a.Key, Token: a.Token, Source: kubeconfig, own: own}, err
}

// dial opens the connection under TLS.
func (c Config) dial(ctx context.Context) (net.Conn, error) {
	if c.Dial != nil {
		return c.Dial(ctx, c.Server)
	}
	d := net.Dialer{Timeout: dialTimeout, KeepAlive: 15 * time.Second}
	return d.DialContext(ctx, "tcp", c.Server)
}

// tls is our side of mTLS for one protocol, and our own certificate, nil if a token stands for it. One that was renewed in its file is shown at the
// next connection.
func (c Config) tls(protocol string) (*tls.Config, *pki.Fresh, error) {
	conf := &tls.Config{RootCAs: x509.NewCertPool(), ServerName: c.ServerName, NextProtos: []string{protocol}, MinVersion: tls.VersionTLS12}
	var own *pki.Fresh
	if c.Token == "" {
		if own = c.own; own == nil {
			own = &pki.Fresh{Load: func() (tls.Certificate, error) { return tls.X509KeyPair(c.Cert, c.Key) }}
		}
		if _, err := own.Pair(); err != nil {
			return nil, nil, fmt.Errorf("%sclient certificate: %w", c.from(), err)
		}
		conf.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return own.Pair() }
	}
	if !conf.RootCAs.AppendCertsFromPEM(c.CA) {
		return nil, nil, fmt.Errorf("%sthe certificate authority is no PEM certificate", c.from())
	}
	if conf.ServerName == "" {
		host, _, err := net.SplitHostPort(c.Server)
		if err != nil {
			return nil, nil, fmt.Errorf("%sserver %q: %w", c.from(), c.Server, err)
		}
		conf.ServerName = host
	}
	return conf, own, nil
}

func (c Config) from() string {
	if c.Source == "" {
		return ""
	}
	return c.Source + ": "
}
