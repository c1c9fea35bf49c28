package sim

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"syscall"

	"k8s.io/apimachinery/pkg/types"

	"optimist/agent/runtime"
)

// wire is one end of a connection; unlike net.Pipe's it can be closed by half.
type wire struct {
	*io.PipeReader
	out *io.PipeWriter
}

func (w wire) Write(p []byte) (int, error) { return w.out.Write(p) }
func (w wire) CloseWrite() error           { return w.out.Close() }
func (w wire) Close() error                { w.out.Close(); return w.PipeReader.Close() }

// Dial connects to the container of a pod that runs and answers on the port; if there is none, the connection is refused, as by a real pod.
func (r *Runtime) Dial(_ context.Context, pod types.UID, port int) (io.ReadWriteCloser, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if b := r.boxes[pod]; b != nil {
		for _, c := range b.containers {
			if c.Phase == runtime.Running && slices.Contains(c.ports, port) {
				in, out := io.Pipe()
				back, answer := io.Pipe()
				go c.answer(wire{in, answer}, b.Name)
				return wire{back, out}, nil
			}
		}
	}
	return nil, &net.OpError{Op: "dial", Net: "tcp", Addr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port}, Err: syscall.ECONNREFUSED}
}

// answer says once who is asked for what.
func (c *container) answer(conn wire, pod string) {
	defer conn.Close()
	if q, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
		text := fmt.Sprintf("%s of pod %s: %s %s\n", c.ID.Name, pod, q.Method, q.RequestURI)
		_, _ = fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", len(text), text)
	}
}
