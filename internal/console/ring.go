package console

import (
	"bytes"
	"io"
	"log/slog"
	"os"
	"sync"
)

// Lines is how many lines a Ring remembers.
const Lines = 2000

// New sets a component's log up: text on standard error, each line with the component's name, and the ring that remembers the last of them.
func New(component string) (*slog.Logger, *Ring) {
	r := &Ring{}
	return slog.New(slog.NewTextHandler(io.MultiWriter(os.Stderr, r), nil)).With("component", component), r
}

// Ring remembers the last lines written to it. The zero value is ready.
type Ring struct {
	mu      sync.Mutex
	lines   [Lines][]byte
	written int           // how many lines there ever were; line n stands at n % Lines
	more    chan struct{} // closed by the next write; nil when nobody waits
}

// Write takes whole lines, as slog's handlers write them.
func (r *Ring) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for line := range bytes.Lines(p) {
		r.lines[r.written%Lines] = bytes.Clone(line)
		r.written++
	}
	if r.more != nil {
		close(r.more)
		r.more = nil
	}
	return len(p), nil
}

// tail is the number of the first of the last n lines; n < 0 = all that are left.
func (r *Ring) tail(n int) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n < 0 || n > Lines {
		n = Lines
	}
	return max(0, r.written-n)
}

// since returns the lines from number n on as one piece, the number that follows, how many were overwritten before they could be read, and
// what will be closed when there are more.
func (r *Ring) since(n int) (text []byte, next, missed int, more <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if oldest := r.written - Lines; n < oldest {
		missed, n = oldest-n, oldest
	}
	for ; n < r.written; n++ {
		text = append(text, r.lines[n%Lines]...)
	}
	if r.more == nil {
		r.more = make(chan struct{})
	}
	return text, n, missed, r.more
}
