package wire

import (
	"net"
	"sync"
)

// Queue is a net.Listener for connections that somebody else has accepted: it is how a server that wants to listen for itself gets them.
type Queue struct {
	addr net.Addr
	in   chan net.Conn
	done chan struct{}
	once sync.Once
}

// NewQueue makes a Queue that says it listens at addr.
func NewQueue(addr net.Addr) *Queue {
	return &Queue{addr: addr, in: make(chan net.Conn), done: make(chan struct{})}
}

// Put hands a connection to whoever accepts; after Close it closes it.
func (q *Queue) Put(c net.Conn) {
	select {
	case q.in <- c:
	case <-q.done:
		c.Close()
	}
}

// Accept waits for the next Put.
func (q *Queue) Accept() (net.Conn, error) {
	select {
	case c := <-q.in:
		return c, nil
	case <-q.done:
		return nil, net.ErrClosed
	}
}

// Close ends Accept.
func (q *Queue) Close() error {
	q.once.Do(func() { close(q.done) })
	return nil
}

// Addr is where the connections arrive.
func (q *Queue) Addr() net.Addr { return q.addr }

// The protocols that share the API server's port, told apart by ALPN in the TLS handshake.
const (
	ALPN     = "optimist-grpc" // whoever dialed asks: service Objects
	ALPNKept = "optimist-kept" // whoever dialed answers: service Kept
)
