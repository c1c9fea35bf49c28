package console

import (
	"context"
	"io"
	"sync"

	"optimist/internal/api"
)

// frames is how many frames may be under way in one direction of a Pipe; then Send waits.
const frames = 16

// Pipe makes a stream within one process: what one end sends, the other receives. CloseSend of one end is io.EOF for the other's Recv. Both
// ends fail with ctx's error once it ends. A frame's Data belongs to the receiver.
func Pipe(ctx context.Context) (near, far api.Stream) {
	out, back := make(chan api.Frame, frames), make(chan api.Frame, frames)
	end := func(send, recv chan api.Frame) api.Stream {
		return &half{done: ctx.Done(), why: ctx.Err, send: send, recv: recv, shut: make(chan struct{})}
	}
	return end(out, back), end(back, out)
}

type half struct {
	done       <-chan struct{}
	why        func() error
	send, recv chan api.Frame
	once       sync.Once
	sending    sync.RWMutex // held for writing only to close
	shut       chan struct{}
}

func (h *half) Send(f api.Frame) error {
	h.sending.RLock()
	defer h.sending.RUnlock()
	select {
	case <-h.shut:
		return io.ErrClosedPipe
	default:
	}
	select {
	case h.send <- f:
		return nil
	case <-h.shut:
		return io.ErrClosedPipe
	case <-h.done:
		return h.why()
	}
}

// Recv hands out what was sent before the end, then says that it is the end.
func (h *half) Recv() (api.Frame, error) {
	select {
	case f, ok := <-h.recv:
		if !ok {
			return api.Frame{}, io.EOF
		}
		return f, nil
	case <-h.done:
		return api.Frame{}, h.why()
	}
}

func (h *half) CloseSend() error {
	h.once.Do(func() {
		close(h.shut) // wakes a Send that waits, so that the lock comes free
		h.sending.Lock()
		defer h.sending.Unlock()
		close(h.send)
	})
	return nil
}
