package wire

// The protocols that share the API server's port, told apart by ALPN in the TLS handshake.
const (
	ALPN     = "optimist-grpc" // whoever dialed asks: service Objects
	ALPNKept = "optimist-kept" // whoever dialed answers: service Kept
)
