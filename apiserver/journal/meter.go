package journal

import (
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"optimist/apiserver/store"
	wire "optimist/proto"
)

// meter knows about how many bytes would be free if all was forgotten up to a revision.
type meter struct {
	mu    sync.Mutex // guards what follows
	step  int64      // a mark every so many bytes
	marks []mark     // rising; the first is where the log begins
	seen  mark       // the newest write
}

// mark is how many bytes all writes up to a revision have made superfluous: what they replaced, and their place in the log.
type mark struct {
	revision store.Revision
	bytes    int64
	time     time.Time
}

const overhead = 64 // of a record, about

func (m *meter) add(b store.Batch) {
	n := int64(overhead + len(b.Note))
	for _, c := range b.Changes {
		n += int64(overhead + 2*len(c.Key) + len(c.Prev))
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.marks) == 0 {
		m.marks = []mark{{revision: b.Revision - 1, bytes: m.seen.bytes}}
	}
	m.seen = mark{revision: b.Revision, bytes: m.seen.bytes + n}
	if m.seen.bytes-m.marks[len(m.marks)-1].bytes >= m.step {
		var n wire.Note
		_ = proto.Unmarshal(b.Note, &n) // a note that cannot be read has no time: old
		m.seen.time = timeOf(&n)
		m.marks = append(m.marks, m.seen)
	}
}

// surplus is the revision up to which all must be forgotten so that no more than size is left, as far as that is older than t; 0 if nothing
// needs to be.
func (m *meter) surplus(size int64, t time.Time) (up store.Revision) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := 1; i < len(m.marks) && m.seen.bytes-m.marks[i-1].bytes > size && !m.marks[i].time.After(t); i++ {
		up = m.marks[i].revision
	}
	return up
}

// drop takes note that everything up to a revision has been forgotten.
func (m *meter) drop(before store.Revision) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for len(m.marks) > 1 && m.marks[1].revision <= before {
		m.marks = m.marks[1:]
	}
}
