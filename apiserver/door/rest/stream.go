package rest

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/gorilla/websocket"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"optimist/internal/api"
	"optimist/internal/wire"
)

// lastWords is how long a client may take to close a connection on which all was said: closing first could cost it what it has not read yet.
const lastWords = 5 * time.Second

// connect opens what stands behind a subresource. It returns an error as long as nothing has been answered.
func (s *Server) connect(c *call) error {
	r, control := c.r.WithContext(c.ctx), http.NewResponseController(c.w)
	_, _ = control.SetReadDeadline(time.Time{}), control.SetWriteDeadline(time.Time{}) // streams may be quiet, and wait for their clients
	switch {
	case c.Sub == "proxy":
		return s.proxy(c.w, r, c.Target)
	case c.Sub == "log" && r.Method == http.MethodGet:
		return s.log(c.w, r, c.Target)
	case c.Sub == "log" || r.Method != http.MethodGet && r.Method != http.MethodPost:
		return errMethod
	case c.Sub == "portforward":
		return s.forward(c.w, r, c.Target)
	}
	return s.run(c.w, r, c.Target)
}

// general are parameters of any request, and one that would be about a kubelet's certificate.
var general = []string{"pretty", "timeout", "timeoutSeconds", "insecureSkipTLSVerifyBackend"}

func params(r *http.Request) url.Values {
	q := r.URL.Query()
	for _, name := range general {
		q.Del(name)
	}
	return q
}

func on(q url.Values, name string) bool {
	yes, _ := strconv.ParseBool(q.Get(name))
	return yes
}

// log copies a container's output as text; one that is followed has its headers at once, and each piece as it comes.
func (s *Server) log(w http.ResponseWriter, r *http.Request, t api.Target) error {
	q := params(r)
	far, err := s.Service.Connect(r.Context(), t, q)
	if err != nil {
		return err
	}
	_ = far.CloseSend() // if it fails, Recv says why
	w.Header().Set("Content-Type", "text/plain")
	follow, begun, flush := on(q, "follow"), false, http.NewResponseController(w).Flush
	for {
		if follow && flush() != nil {
			return nil
		}
		f, err := far.Recv()
		if err == nil && f.Channel == api.ChannelError {
			err = wire.Outcome(f.Data)
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil && (begun || follow):
			panic(http.ErrAbortHandler) // all that is left to say that this is not the end
		case err != nil:
			return err
		}
		if _, err := w.Write(f.Data); err != nil {
			return nil
		}
		begun = true
	}
}

// client is the other side of exec and attach, whichever way it speaks.
type client interface {
	Send(api.Frame) error
	inward(to *sender, stdin bool) // what the client sends, until it has gone
	end()                          // all was said: let it go, and release everything
}

// run joins a client with a process: exec, or attach.
func (s *Server) run(w http.ResponseWriter, r *http.Request, t api.Target) error {
	q := params(r)
	wants := map[api.Channel]bool{api.ChannelStdout: on(q, "stdout"), api.ChannelStderr: on(q, "stderr") && !on(q, "tty"), api.ChannelError: true}
	stdin := on(q, "stdin")
	if !stdin && !on(q, "stdout") && !on(q, "stderr") {
		return apierrors.NewBadRequest("you must specify at least 1 of stdin, stdout, stderr")
	}
	upgrade, err := s.upgrader(w, r, q)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	far, err := s.Service.Connect(ctx, t, q)
	if err != nil {
		return err
	}
	near, err := upgrade()
	if near == nil {
		return err
	}
	defer near.end()
	defer cancel() // what the client still sends, nobody waits for
	to := &sender{Stream: far}
	if !stdin && !on(q, "tty") { // a terminal has sizes, too
		_ = to.CloseSend() // if it fails, outward hears of it
	}
	go func() { near.inward(to, stdin); cancel() }()
	outward(near, far, wants)
	return nil
}

// upgrader looks whether a request asks for a kind of stream that we speak.
func (s *Server) upgrader(w http.ResponseWriter, r *http.Request, q url.Values) (func() (client, error), error) {
	if websocket.IsWebSocketUpgrade(r) {
		if err := speaks(websocket.Subprotocols(r), execProtocols); err != nil {
			return nil, err
		}
		return func() (client, error) { return openWebSocket(w, r, execProtocols) }, nil
	}
	return func() (client, error) { return openSPDY(w, q) }, asksSPDY(w, r, spdyExec)
}

func speaks(asked, ours []string) error {
	for _, p := range asked {
		if slices.Contains(ours, p) {
			return nil
		}
	}
	return apierrors.NewBadRequest("unable to upgrade: the client supports the protocols " + strconv.Quote(join(asked)) + ", the server " + strconv.Quote(join(ours)))
}

// outward passes what a client wants to hear on, until the stream has ended; if it broke, the client is told why as its outcome.
func outward(near client, far api.Stream, wants map[api.Channel]bool) {
	for {
		f, err := far.Recv()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			data, _ := json.Marshal(status(err)) // text and numbers
			f = api.Frame{Channel: api.ChannelError, Data: data}
		}
		if wants[f.Channel] && near.Send(f) != nil || err != nil {
			return
		}
	}
}

// sender lets several goroutines send on one stream. After CloseSend, and after a failure, it takes all and sends nothing: a process that reads no more
// is no reason to stop listening to its client.
type sender struct {
	mu sync.Mutex
	api.Stream
	shut bool
}

func (s *sender) Send(f api.Frame) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shut = s.shut || s.Stream.Send(f) != nil
	return nil
}

func (s *sender) CloseSend() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shut {
		return nil
	}
	s.shut = true
	return s.Stream.CloseSend()
}
