package containerd

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	apievents "github.com/containerd/containerd/api/events"
	"github.com/containerd/typeurl/v2"
	"k8s.io/apimachinery/pkg/types"

	"optimist/internal/wake"
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
	return func(yield func(types.UID, error) bool) {
		ctx, cancel := context.WithCancel(r.in(ctx))
		defer cancel()
		heard := func(pod types.UID, err error) {
			if !yield(pod, err) {
				cancel()
			}
		}
		for retry := firstRetry; ctx.Err() == nil; retry = min(2*retry, lastRetry) {
			if r.listen(ctx, heard) {
				retry = firstRetry
			}
			_ = wake.After(ctx, retry, nil)
		}
	}
}

// listen subscribes once and tells of exits until the connection breaks or ctx ends. It says whether containerd was there.
func (r *Runtime) listen(ctx context.Context, heard func(types.UID, error)) bool {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, broken := r.client.Subscribe(ctx, fmt.Sprintf("namespace==%q,topic==%q", r.cfg.Namespace, "/tasks/exit"))
	if _, err := r.client.Version(ctx); err != nil { // a round trip behind the subscription: it stands
		return false
	}
	heard("", errAnew)
	for ctx.Err() == nil {
		select {
		case e := <-stream:
			any, err := typeurl.UnmarshalAny(e.Event)
			exit, ok := any.(*apievents.TaskExit)
			if err != nil || !ok || exit.ID != exit.ContainerID { // the last: an exec's end
				continue
			}
			if id, ours := parseID(exit.ContainerID); ours {
				_, _ = r.look(ctx, id) // settles it at once, so that no shim waits; should that fail, the next look will
				heard(id.Pod, nil)
			}
		case <-broken: //nolint:errcheck // that it broke says all: State is read again
			return true
		case <-ctx.Done():
		}
	}
	return true
}
