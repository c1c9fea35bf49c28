package reconcile

import (
	"context"
	"encoding/json"
	"net/url"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"optimist/internal/api"
	"optimist/internal/console"
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

// Answer serves what a component can be asked over the kept connection: "decisions", and "log" if it has a console.
func (d *Decisions) Answer(ctx context.Context, t api.Target, params url.Values, log *console.Ring) (api.Stream, error) {
	switch {
	case t.Sub == "decisions":
		return d.Connect(ctx, params)
	case t.Sub == "log" && log != nil:
		return log.Connect(ctx, params)
	}
	return nil, apierrors.NewBadRequest(t.Key.Name + " has a log and decisions, but no " + t.Sub)
}

// Connect serves the decisions as JSON lines, oldest first. With follow=true the stream goes on; object=deployment/default/web selects.
func (d *Decisions) Connect(ctx context.Context, params url.Values) (api.Stream, error) {
	object, follow := params.Get("object"), params.Get("follow") == "true"
	near, far := console.Pipe(ctx)
	go func() {
		if d.copyTo(ctx, far, object, follow) == nil {
			_ = console.Finish(far, nil) // fails only when nobody listens any more
		}
	}()
	return near, nil
}

func (d *Decisions) copyTo(ctx context.Context, s api.Stream, object string, follow bool) error {
	for from := 0; ; {
		all, next, more := d.since(from)
		for _, x := range all {
			if object != "" && object != x.Object {
				continue
			}
			line, err := json.Marshal(x)
			if err != nil {
				return err
			}
			if err := s.Send(api.Frame{Channel: api.ChannelStdout, Data: append(line, '\n')}); err != nil {
				return err
			}
		}
		if !follow {
			return nil
		}
		from = next
		select {
		case <-more:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
