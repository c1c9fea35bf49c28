package containerd

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	apievents "github.com/containerd/containerd/api/events"
	"github.com/containerd/containerd/v2/core/events"
	"github.com/containerd/typeurl/v2"
	"k8s.io/apimachinery/pkg/types"

	"optimist/agent/runtime"
)

const (
	firstRetry = 50 * time.Millisecond
	lastRetry  = 2 * time.Second
)

// errAnew tells the caller to read State: whatever happened before was not heard.
var errAnew = errors.New("listening to containerd's events anew; what happened before is in State")

// Events listens until ctx ends and connects again by itself. Each time it begins to listen, the first included, it yields one error:
// a State read after that, together with the events that follow, misses nothing.
func (r *Runtime) Events(ctx context.Context) iter.Seq2[types.UID, error] {
	ctx = r.in(ctx)
	return func(yield func(types.UID, error) bool) {
		retry := firstRetry
		for ctx.Err() == nil {
			listened, done := r.listen(ctx, yield)
			if done {
				return
			}
			if retry = min(2*retry, lastRetry); listened {
				retry = firstRetry
			}
			select {
			case <-time.After(retry):
			case <-ctx.Done():
			}
		}
	}
}

// listen subscribes once. It says whether containerd was there, and whether the caller has had enough.
func (r *Runtime) listen(ctx context.Context, yield func(types.UID, error) bool) (listened, done bool) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, broken := r.client.Subscribe(ctx,
		fmt.Sprintf("namespace==%q,topic==%q", r.cfg.Namespace, "/tasks/exit"),
		fmt.Sprintf("namespace==%q,topic==%q", r.cfg.Namespace, "/tasks/oom"))
	if _, err := r.client.Version(ctx); err != nil { // a round trip behind the subscription: it stands
		return false, false
	}
	if !yield("", errAnew) {
		return true, true
	}
	killed := map[string]bool{} // out of memory: version 1 cgroups report one kill up to thousands of times
	for {
		select {
		case e := <-stream:
			if pod := r.changed(ctx, e, killed); pod != "" && !yield(pod, nil) {
				return true, true
			}
		case <-broken: //nolint:errcheck // that it broke says all: State is read again
			return true, false
		case <-ctx.Done():
			return true, true
		}
	}
}

// changed names the pod that an event concerns, "" for none. It settles an exit at once, so that no shim waits for the next State;
// should that fail, State will do it.
func (r *Runtime) changed(ctx context.Context, e *events.Envelope, killed map[string]bool) types.UID {
	event, err := typeurl.UnmarshalAny(e.Event)
	if err != nil {
		return ""
	}
	var id runtime.ContainerID
	switch event := event.(type) {
	case *apievents.TaskExit:
		if event.ID != event.ContainerID {
			return "" // the end of an exec
		}
		delete(killed, event.ContainerID)
		id, _ = parseID(event.ContainerID)
		_ = r.settle(ctx, id)
	case *apievents.TaskOOM:
		if killed[event.ContainerID] {
			return ""
		}
		killed[event.ContainerID] = true
		id, _ = parseID(event.ContainerID)
	}
	return id.Pod
}
