package parts_test

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"optimist/ctl/parts"
)

// Whoever is asked may be busy, or stopped; who asks need not wait for that.
func TestAskGivesUp(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, stop := context.WithCancel(t.Context())
	go func() {
		if conn, err := l.Accept(); err == nil {
			defer conn.Close()
			stop()
			<-t.Context().Done()
		}
	}()
	if _, err := parts.Ask(ctx, socket, parts.Request{}); !errors.Is(err, context.Canceled) && !errors.Is(err, net.ErrClosed) {
		t.Errorf("got %v", err)
	}
}

func TestAskAndServe(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	if err := os.WriteFile(socket, nil, 0o600); err != nil { // what a killed one has left
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() {
		ended <- parts.Serve(ctx, socket, func(r parts.Request) parts.Reply {
			if r.Part == "x" {
				return parts.Reply{Error: "there is no x"}
			}
			return parts.Reply{Runs: map[string]bool{r.Verb + " " + r.Part: true}}
		})
	}()
	var now parts.Reply
	var err error
	for now.Runs == nil { // until it listens
		now, err = parts.Ask(ctx, socket, parts.Request{Verb: parts.Stop, Part: "scheduler"})
	}
	if err != nil || len(now.Runs) != 1 || !now.Runs["stop scheduler"] {
		t.Errorf("got %v, %v", now, err)
	}
	if _, err := parts.Ask(ctx, socket, parts.Request{Verb: parts.Stop, Part: "x"}); err == nil || err.Error() != "there is no x" {
		t.Errorf("got %v", err)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if _, err := parts.Ask(t.Context(), socket, parts.Request{}); err == nil || !strings.Contains(err.Error(), socket) {
		t.Errorf("when nobody listens: %v", err)
	}
}
