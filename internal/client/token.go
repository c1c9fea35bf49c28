package client

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"

	"optimist/internal/pki"
	"optimist/internal/wire"
)

// shown goes along with every call: a token, or whose place to take; gRPC never lets it out of TLS.
type shown map[string]string

func (s shown) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return s, nil
}

func (shown) RequireTransportSecurity() bool { return true }

// shows is what a client of this configuration sends beside its requests.
func (c Config) shows() shown {
	all := shown{}
	if c.Token != "" {
		all["authorization"] = "Bearer " + c.Token
	}
	if c.As.Name != "" || len(c.As.Groups) > 0 || c.As.UID != "" {
		data, _ := json.Marshal(c.As) // text only
		all[wire.Impersonate] = string(data)
	}
	return all
}

// Pinned asks a server for its CA and returns it (PEM) if it has the hash that pin says (pki.Hash). Whether the server has the key of a certificate
// of that CA, the next connection finds out.
func Pinned(ctx context.Context, server, pin string) ([]byte, error) {
	t := trouble{server: server}
	raw, err := Config{Server: server}.dial(ctx)
	if err != nil {
		return nil, fmt.Errorf("%s; and does it let other machines in? (ctl start --listen, firewalls: docs/ports.md)", t.words(err.Error()))
	}
	defer raw.Close()
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	conn := tls.Client(raw, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{wire.ALPN}, MinVersion: tls.VersionTLS12}) // nothing is said on it
	if err := conn.HandshakeContext(ctx); err != nil {
		return nil, fmt.Errorf("%s", t.words(err.Error()))
	}
	shown := "no CA"
	for _, cert := range conn.ConnectionState().PeerCertificates {
		if !cert.IsCA {
			continue
		}
		if shown = pki.Hash(cert); shown == pin {
			return pki.EncodeCert(cert.Raw), nil
		}
	}
	return nil, fmt.Errorf("the server at %s shows %s, not %s: it is another cluster's, or somebody stands in between. The token was not sent; "+
		"take the command that `ctl token create --print-join-command` prints where the cluster is", server, shown, pin)
}
