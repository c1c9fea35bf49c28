package reconcile

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/url"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"optimist/internal/api"
)

// Decision is one step that was taken, or tried.
type Decision struct {
	Time     time.Time    `json:"time"`
	Object   string       `json:"object"`   // what was looked at: "deployment/default/web"
	Revision api.Revision `json:"revision"` // … as of then
	Causes   api.Causes   `json:"causes"`
	Step     string       `json:"step"`
	Why      string       `json:"why"`
	Wrote    api.Revision `json:"wrote,omitempty"`
	Error    string       `json:"error,omitempty"`
}

const maxDecisions = 2000

// Decisions keeps the newest decisions of a process. When full, the oldest go.
type Decisions struct {
	mu   sync.Mutex
	ring []Decision
	next int           // where the next one goes once the ring is full
	n    int           // how many there have been
	more chan struct{} // closed and replaced with every Add
}

// NewDecisions returns an empty ring.
func NewDecisions() *Decisions { return &Decisions{more: make(chan struct{})} }

// Add keeps a decision.
func (d *Decisions) Add(x Decision) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.ring) < maxDecisions {
		d.ring = append(d.ring, x)
	} else {
		d.ring[d.next] = x
		d.next = (d.next + 1) % maxDecisions
	}
	d.n++
	close(d.more)
	d.more = make(chan struct{})
}

// since returns the decisions from the n-th on, as far as they are still known, the number of the one after them, and what to wait on for more.
func (d *Decisions) since(n int) ([]Decision, int, <-chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var all []Decision
	for i := max(n, d.n-len(d.ring)); i < d.n; i++ {
		all = append(all, d.ring[i%maxDecisions])
	}
	return all, d.n, d.more
}

// Connect serves the decisions as JSON lines, oldest first. With follow=true the stream goes on; object=deployment/default/web selects.
func (d *Decisions) Connect(ctx context.Context, params url.Values) (api.Stream, error) {
	return &decisionStream{ctx: ctx, from: d, object: params.Get("object"), follow: params.Get("follow") == "true"}, nil
}

type decisionStream struct {
	ctx    context.Context // a stream's life is its Connect's, as api.Connector says
	from   *Decisions
	object string
	follow bool
	n      int
	queued []api.Frame
	ended  bool
}

func (s *decisionStream) Send(api.Frame) error { return errors.New("decisions can only be read") }
func (s *decisionStream) CloseSend() error     { return nil }

func (s *decisionStream) Recv() (api.Frame, error) {
	for len(s.queued) == 0 {
		if s.ended {
			return api.Frame{}, io.EOF
		}
		all, n, more := s.from.since(s.n)
		s.n = n
		s.queue(all)
		if len(s.queued) > 0 {
			break
		}
		if !s.follow {
			s.ended = true
			s.queued = []api.Frame{success()}
			break
		}
		select {
		case <-more:
		case <-s.ctx.Done():
			return api.Frame{}, context.Cause(s.ctx)
		}
	}
	f := s.queued[0]
	s.queued = s.queued[1:]
	return f, nil
}

func (s *decisionStream) queue(all []Decision) {
	for _, x := range all {
		if s.object != "" && s.object != x.Object {
			continue
		}
		line, err := json.Marshal(x)
		if err != nil {
			continue // times and numbers always encode
		}
		s.queued = append(s.queued, api.Frame{Channel: api.ChannelStdout, Data: append(line, '\n')})
	}
}

// success is the frame that ends a stream which went well.
func success() api.Frame {
	data, err := json.Marshal(metav1.Status{Status: metav1.StatusSuccess})
	if err != nil {
		panic(err) // a constant always encodes
	}
	return api.Frame{Channel: api.ChannelError, Data: data}
}
