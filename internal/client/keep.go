package client

import (
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"

	"optimist/internal/api"
	"optimist/internal/wake"
	"optimist/internal/wire"
	"optimist/proto"
)

// Keep holds the kept connection: it dials the API server and answers, as c, what that asks; when the connection breaks it dials again.
// It returns nil when ctx ends, and an error only for a Config that can never work.
func Keep(ctx context.Context, conf Config, c api.Connector) error {
	tc, own, err := conf.tls(wire.ALPNKept)
	if err != nil {
		return err
	}
	log := conf.Log
	if log == nil {
		log = slog.Default()
	}
	k := keeper{conf: conf, tls: tc, log: log, server: kept{connector: c},
		trouble: trouble{server: conf.Server, source: conf.Source, own: own}}
	k.run(ctx)
	return nil
}

type keeper struct {
	conf   Config
	tls    *tls.Config
	log    *slog.Logger
	server kept
	trouble
}

const minBackoff = 100 * time.Millisecond

// run tells of trouble once, when it begins: the API server may be away for hours.
func (k *keeper) run(ctx context.Context) {
	wait, quiet := minBackoff, false
	for ctx.Err() == nil {
		lived, err := k.once(ctx)
		if ctx.Err() != nil {
			return
		}
		if lived > 2*maxBackoff { // it had worked: begin anew
			wait, quiet = minBackoff, false
		}
		if !quiet {
			k.log.Warn("the kept connection to the API server is lost, dialing again", "err", k.words(err.Error()))
			quiet = true
		}
		_ = wake.After(ctx, wait, nil)
		wait = min(2*wait, maxBackoff)
	}
}

// once serves one connection until it breaks.
func (k *keeper) once(ctx context.Context) (lived time.Duration, err error) {
	raw, err := k.conf.dial(ctx)
	if err != nil {
		return 0, err
	}
	conn := tls.Client(raw, k.tls)
	hctx, cancel := context.WithTimeout(ctx, dialTimeout)
	err = conn.HandshakeContext(hctx)
	cancel()
	if err != nil {
		raw.Close()
		return 0, err
	}
	began := time.Now()
	s := grpc.NewServer(grpc.MaxConcurrentStreams(1000), grpc.ConnectionTimeout(dialTimeout),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: 20 * time.Second, Timeout: 10 * time.Second}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}))
	proto.RegisterKeptServer(s, k.server)
	defer context.AfterFunc(ctx, s.Stop)()
	q := wire.NewQueue(conn.LocalAddr())
	go q.Put(watched{conn, q})
	_ = s.Serve(q) // until the connection has ended and the queue with it
	s.Stop()
	return time.Since(began), io.EOF
}

// kept answers what the API server asks.
type kept struct {
	proto.UnimplementedKeptServer
	connector api.Connector
}

func (k kept) Connect(s grpc.BidiStreamingServer[proto.Frame, proto.Frame]) error {
	return wire.EncodeError(wire.Serve(s, api.Builtin, k.connector))
}

// watched ends its listener with itself.
type watched struct {
	net.Conn
	l net.Listener
}

func (w watched) Close() error { defer w.l.Close(); return w.Conn.Close() }
