package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"time"

	"optimist/internal/pki"
)

// Config says where the API server is and who we are.
type Config struct {
	Server        string                                                   // host:port
	ServerName    string                                                   // expected in the server's certificate; "" = the host
	CA, Cert, Key []byte                                                   // PEM
	Dial          func(ctx context.Context, addr string) (net.Conn, error) // nil = TCP
	Source        string                                                   // the file that all this is from, for messages
	Log           *slog.Logger                                             // Keep's; nil = slog.Default()
}

// Load reads a context ("" = the current one) of a kubeconfig.
func Load(kubeconfig, context string) (Config, error) {
	a, err := pki.LoadKubeconfig(kubeconfig, context)
	return Config{Server: a.Server, ServerName: a.ServerName, CA: a.CA, Cert: a.Cert, Key: a.Key, Source: kubeconfig}, err
}

// dial opens the connection under TLS.
func (c Config) dial(ctx context.Context) (net.Conn, error) {
	if c.Dial != nil {
		return c.Dial(ctx, c.Server)
	}
	d := net.Dialer{Timeout: dialTimeout, KeepAlive: 15 * time.Second}
	return d.DialContext(ctx, "tcp", c.Server)
}

// tls is our side of mTLS for one protocol, and our own certificate.
func (c Config) tls(protocol string) (*tls.Config, *x509.Certificate, error) {
	pair, err := tls.X509KeyPair(c.Cert, c.Key)
	if err != nil {
		return nil, nil, fmt.Errorf("%sclient certificate: %w", c.from(), err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(c.CA) {
		return nil, nil, fmt.Errorf("%sthe certificate authority is no PEM certificate", c.from())
	}
	name := c.ServerName
	if name == "" {
		if name, _, err = net.SplitHostPort(c.Server); err != nil {
			return nil, nil, fmt.Errorf("%sserver %q: %w", c.from(), c.Server, err)
		}
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: pool, ServerName: name, NextProtos: []string{protocol},
		MinVersion: tls.VersionTLS12}, pair.Leaf, nil
}

func (c Config) from() string {
	if c.Source == "" {
		return ""
	}
	return c.Source + ": "
}
