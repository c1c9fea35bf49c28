package grpc

import (
	"context"
	"crypto/tls"
	"errors"
	"net"

	creds "google.golang.org/grpc/credentials"

	"optimist/apiserver/door"
	"optimist/internal/api"
)

// credentials tell gRPC who is at the other end of a connection whose handshake the door has done.
type credentials struct{}

// identity is what a call can learn of its connection. Its user is found out once per connection.
type identity struct {
	creds.CommonAuthInfo
	user api.User // without a name: no client certificate
}

// AuthType implements gRPC's AuthInfo.
func (identity) AuthType() string { return "tls" }

// ServerHandshake implements gRPC's TransportCredentials.
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
