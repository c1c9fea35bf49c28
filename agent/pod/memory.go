package pod

import (
	"time"

	"optimist/agent/runtime"
)

// Memory is what a worker remembers between steps. Losing it costs only attempts.
type Memory struct {
	Troubles  map[string]Trouble       // by Step.Key: what failed and is not tried again before its time
	Images    map[string]runtime.Image // by container: on the node, for its next start
	Absent    map[string]bool          // by container: its image was looked for and must be pulled
	Confirmed bool                     // the API server itself said that the Pod is gone
}

// Trouble is a step that failed.
type Trouble struct {
	Reason, Message string // as a waiting container shows them
	Count           int    // in a row
	Since, Until    time.Time
}

// newMemory is an empty one.
func newMemory() Memory {
	return Memory{Troubles: map[string]Trouble{}, Images: map[string]runtime.Image{}, Absent: map[string]bool{}}
}

// fail notes a failure of a step.
func (m Memory) fail(key, reason, message string, now time.Time, delay func(count int) time.Duration) {
	count := m.Troubles[key].Count + 1
	m.Troubles[key] = Trouble{Reason: reason, Message: message, Count: count, Since: now, Until: now.Add(delay(count))}
}

// postponed says until when a step has to wait.
func (m Memory) postponed(key string, now time.Time) (time.Time, bool) {
	until := m.Troubles[key].Until
	return until, now.Before(until)
}
