package nodelifecycle

import (
	"sync"
	"time"
)

// heard remembers when, by our own monotonic clock, something of each node last changed (law 10): how late a node's clock is does not matter.
// All copies of the controllers listen, so that a new leader knows at once.
type heard struct {
	mu    sync.Mutex
	nodes map[string]sign
}

// sign is a node's last sign of life: what it was, and when we saw it.
type sign struct {
	lease string    // the Lease's resourceVersion
	beat  time.Time // the heartbeat in the Node's status
	seen  time.Time
}

func (h *heard) lease(name, version string) {
	h.note(name, func(s *sign) bool { changed := s.lease != version; s.lease = version; return changed })
}

func (h *heard) status(name string, beat time.Time) {
	h.note(name, func(s *sign) bool { changed := !s.beat.Equal(beat); s.beat = beat; return changed })
}

// restart lets the time begin anew.
func (h *heard) restart(name string) { h.note(name, func(*sign) bool { return true }) }

// at is when a node was last heard; one that we know nothing of is heard now.
func (h *heard) at(name string) time.Time { return h.note(name, func(*sign) bool { return false }) }

func (h *heard) note(name string, take func(*sign) (changed bool)) time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.nodes[name]
	if take(&s) || s.seen.IsZero() {
		s.seen = time.Now()
	}
	h.nodes[name] = s
	return s.seen
}

func (h *heard) forget(name string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.nodes, name)
}
