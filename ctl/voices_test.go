package ctl_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"optimist/internal/api"
	"optimist/internal/console"
)

// talkers are components whose logs a test writes; a dead one cannot be asked.
type talkers struct {
	api.Service
	mu    sync.Mutex // guards what follows
	rings map[string]*console.Ring
	lives map[string]context.CancelFunc
}

func (s *talkers) say(name string, at time.Time, what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintf(s.rings[name], "time=%s level=INFO msg=%s component=%s\n", at.UTC().Format("2006-01-02T15:04:05.000Z07:00"), what, name)
}

// born starts a component, with nothing in its log.
func (s *talkers) born(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rings[name] = &console.Ring{}
}

// disconnect ends who listens to a component.
func (s *talkers) disconnect(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lives[name]()
}

func (s *talkers) Connect(ctx context.Context, t api.Target, params url.Values) (api.Stream, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ring := s.rings[t.Key.Name]
	if ring == nil {
		return nil, errors.New("it is dead")
	}
	ctx, s.lives[t.Key.Name] = context.WithCancel(ctx)
	return ring.Connect(ctx, params)
}

func (s *talkers) die(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rings[name] = nil
	s.lives[name]()
}

func TestSeveralLogsAreFollowedThroughDeaths(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &talkers{rings: map[string]*console.Ring{}, lives: map[string]context.CancelFunc{}}
		s.born("scheduler")
		s.born("controllers")
		began := time.Now()
		s.say("controllers", began.Add(2*time.Millisecond), "two")
		s.say("scheduler", began.Add(time.Millisecond), "one")
		r := start(t, s, "logs", "--component", "controllers,scheduler", "-f", "--tail", "1")
		settle := func() { time.Sleep(3 * time.Second); synctest.Wait() }
		settle()
		s.die("scheduler")
		settle()
		s.say("controllers", time.Now(), "three")
		settle()
		s.born("scheduler")
		s.say("scheduler", time.Now(), "four")
		s.say("scheduler", time.Now().Add(time.Millisecond), "five")
		settle()
		s.disconnect("controllers") // only the connection breaks
		settle()
		s.say("controllers", time.Now(), "six")
		settle()
		r.stop()
		if code := <-r.code; code != 130 {
			t.Errorf("exit code %d", code)
		}
		var words []string
		for line := range strings.Lines(r.out.String()) {
			words = append(words, strings.Fields(line)[2])
		}
		if got := strings.Join(words, " "); got != "one two three four five six" {
			t.Errorf("it said %s:\n%s", got, r.out.String())
		}
		if got := r.err.String(); strings.Count(got, "\n") != 2 || !strings.Contains(got, "scheduler does not answer any more") || !strings.Contains(got, "asking again") {
			t.Errorf("about the deaths it said\n%s", got)
		}
	})
}

func TestALogThatNeverWasIsNotAwaited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, &talkers{}, "logs", "--component", "scheduler", "-f")
		if code := <-r.code; code != 1 || !strings.Contains(r.err.String(), "it is dead") {
			t.Errorf("exit code %d: %s", code, r.err.String())
		}
	})
}
