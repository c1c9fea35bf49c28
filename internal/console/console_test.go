package console

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"

	"optimist/internal/api"
)

// drain reads a stream to its end.
func drain(t *testing.T, s api.Stream) (text, outcome string) {
	t.Helper()
	for {
		f, err := s.Recv()
		if errors.Is(err, io.EOF) {
			return text, outcome
		}
		if err != nil {
			t.Fatal(err)
		}
		if f.Channel == api.ChannelError {
			outcome += string(f.Data)
		} else {
			text += string(f.Data)
		}
	}
}

func TestLogOfWhatWasSaid(t *testing.T) {
	for _, row := range []struct {
		name, params string
		lines        int
		first, last  string
	}{
		{"all of a short log", "", 3, "line 0\n", "line 2\n"},
		{"its last two lines", "tailLines=2", 3, "line 1\n", "line 2\n"},
		{"nothing of it", "tailLines=0", 3, "", ""},
		{"more than there is", "tailLines=9999", 3, "line 0\n", "line 2\n"},
		{"what is left of a long log", "", Lines + 5, "line 5\n", fmt.Sprintf("line %d\n", Lines+4)},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := &Ring{}
			for i := range row.lines {
				fmt.Fprintf(r, "line %d\n", i)
			}
			params, _ := url.ParseQuery(row.params)
			s, err := r.Connect(t.Context(), params)
			if err != nil {
				t.Fatal(err)
			}
			text, outcome := drain(t, s)
			if !strings.HasPrefix(text, row.first) || !strings.HasSuffix(text, row.last) || row.first == "" && text != "" {
				t.Errorf("got %.40q … %q", text, text[max(0, len(text)-20):])
			}
			if !strings.Contains(outcome, "Success") {
				t.Errorf("outcome %q", outcome)
			}
		})
	}
}

func TestFollow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &Ring{}
		ctx, cancel := context.WithCancel(t.Context())
		s, err := r.Connect(ctx, url.Values{"follow": {"true"}, "tailLines": {"0"}})
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		for i := range 3 {
			fmt.Fprintf(r, "line %d\n", i)
			f, err := s.Recv()
			if want := fmt.Sprintf("line %d\n", i); err != nil || string(f.Data) != want {
				t.Fatalf("got %q, %v; want %q", f.Data, err, want)
			}
		}
		cancel()
		if _, err := s.Recv(); !errors.Is(err, context.Canceled) {
			t.Errorf("after the end: %v", err)
		}
	})
}

func TestAReaderThatSleepsIsToldWhatItMissed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &Ring{}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		s, err := r.Connect(ctx, url.Values{"follow": {"true"}})
		if err != nil {
			t.Fatal(err)
		}
		for i := range 3 * Lines { // the pipe fills, the follower waits, the ring goes round
			fmt.Fprintf(r, "line %d\n", i)
			if i%100 == 0 {
				synctest.Wait()
			}
		}
		var text string
		for !strings.Contains(text, fmt.Sprintf("line %d\n", 3*Lines-1)) {
			f, err := s.Recv()
			if err != nil {
				t.Fatal(err)
			}
			text += string(f.Data)
		}
		if !strings.Contains(text, "lines were lost]\n") {
			t.Error("lines were lost without a word")
		}
	})
}

func TestBadTail(t *testing.T) {
	if _, err := new(Ring).Connect(t.Context(), url.Values{"tailLines": {"-3"}}); err == nil {
		t.Error("accepted")
	}
}

func TestPipe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		near, far := Pipe(ctx)
		if err := near.Send(api.Frame{Data: []byte("in")}); err != nil {
			t.Fatal(err)
		}
		near.CloseSend()
		near.CloseSend()
		if f, err := far.Recv(); err != nil || string(f.Data) != "in" {
			t.Errorf("what was sent before the end: %q, %v", f.Data, err)
		}
		if _, err := far.Recv(); !errors.Is(err, io.EOF) {
			t.Errorf("after the end: %v", err)
		}
		if err := near.Send(api.Frame{}); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("sending after the end: %v", err)
		}
		full := make(chan error)
		go func() {
			for {
				if err := far.Send(api.Frame{}); err != nil {
					full <- err
					return
				}
			}
		}()
		synctest.Wait() // the pipe is full, Send waits
		cancel()
		if err := <-full; !errors.Is(err, context.Canceled) {
			t.Errorf("sending into a dead stream: %v", err)
		}
	})
}

func TestClosingWakesASendThatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, _ := Pipe(t.Context())
		ended := make(chan error)
		go func() {
			var err error
			for err == nil {
				err = near.Send(api.Frame{})
			}
			ended <- err
		}()
		synctest.Wait()
		near.CloseSend()
		if err := <-ended; !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("got %v", err)
		}
	})
}
