package logs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// at is a time stamp so many seconds into the log.
func at(second int) string { return fmt.Sprintf("2026-11-22T21:30:%02d.000000001Z", second) }

// log writes generations of a log file, oldest first.
func log(t *testing.T, generations ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "c.log")
	for i, text := range generations {
		name := path
		if old := len(generations) - 1 - i; old > 0 {
			name = fmt.Sprintf("%s.%d", path, old)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

func TestRead(t *testing.T) {
	old := at(1) + " stdout F one\n" + at(2) + " stderr F two\n"
	mid := at(3) + " stdout P thr\n" + at(3) + " stdout F ee\n"
	last := "rubble\n" + at(4) + " stdout F \n" + at(5) + " stderr F five\n" + at(6) + " stdout F half an ent"
	number := func(n int64) *int64 { return &n }
	for _, test := range []struct {
		sentence       string
		options        Options
		stdout, stderr string
	}{
		{"all files, oldest first, each stream apart, rubble and unfinished entries left out", Options{}, "one\nthree\n\n", "two\nfive\n"},
		{"one stream only", Options{Stream: Stderr}, "", "two\nfive\n"},
		{"since a moment, inclusive", Options{Since: time.Date(2026, 11, 22, 21, 30, 3, 1, time.UTC)}, "three\n\n", "five\n"},
		{"the last two entries", Options{Tail: number(2)}, "\n", "five\n"},
		{"a tail that reaches into an older file", Options{Tail: number(4)}, "ee\n\n", "five\n"},
		{"a tail of nothing", Options{Tail: number(0)}, "", ""},
		{"a tail longer than the log", Options{Tail: number(100)}, "one\nthree\n\n", "two\nfive\n"},
		{"a limit that cuts a line", Options{LimitBytes: number(6)}, "one\n", "tw"},
		{"a limit at the end of a line", Options{LimitBytes: number(8)}, "one\n", "two\n"},
		{"times stand before whole lines", Options{Timestamps: true, Stream: Stdout}, at(1) + " one\n" + at(3) + " three\n" + at(4) + " \n", ""},
	} {
		t.Run(test.sentence, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			if err := Read(t.Context(), log(t, old, mid, last), test.options, &stdout, &stderr, nil); err != nil {
				t.Fatal(err)
			}
			if stdout.String() != test.stdout || stderr.String() != test.stderr {
				t.Errorf("stdout %q, stderr %q; want %q, %q", &stdout, &stderr, test.stdout, test.stderr)
			}
		})
	}
}

func TestTailReadsBlocksBackwards(t *testing.T) {
	var text strings.Builder
	for i := range 20_000 { // a few blocks of 64 KiB
		fmt.Fprintf(&text, "%s stdout F line %d\n", at(0), i)
	}
	n := int64(5_000)
	var out bytes.Buffer
	if err := Read(t.Context(), log(t, text.String()), Options{Tail: &n}, &out, io.Discard, nil); err != nil {
		t.Fatal(err)
	}
	if lines := strings.Count(out.String(), "\n"); lines != 5_000 || !strings.HasPrefix(out.String(), "line 15000\n") {
		t.Errorf("%d lines, first %.20q", lines, &out)
	}
}

func TestMissingLogIsAnError(t *testing.T) {
	err := Read(t.Context(), filepath.Join(t.TempDir(), "none"), Options{}, io.Discard, io.Discard, nil)
	if !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

// A follower sees what comes later, over rotations and in the end, and then returns.
func TestFollow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := log(t, at(1)+" stdout F one\n")
		var exited atomic.Bool
		var out, errs buffer
		ended := make(chan error, 1)
		go func() { ended <- Read(t.Context(), path, Options{Follow: true}, &out, &errs, exited.Load) }()
		expect := func(want string) {
			t.Helper()
			time.Sleep(2 * pollEvery)
			synctest.Wait()
			if got := out.String(); got != want {
				t.Fatalf("out = %q, want %q", got, want)
			}
		}
		expect("one\n")
		add(t, path, at(2)+" stdout F tw")
		expect("one\n")
		add(t, path, "o\n"+at(2)+" stderr F oops\n")
		expect("one\ntwo\n")
		for i := range 2 { // rotated twice between two looks
			add(t, path, fmt.Sprintf("%s stdout F end %d\n", at(3), i))
			os.Rename(path+".1", path+".2")
			os.Rename(path, path+".1")
		}
		add(t, path, at(4)+" stdout F four\n")
		expect("one\ntwo\nend 0\nend 1\nfour\n")
		add(t, path, at(5)+" stdout F last\n")
		exited.Store(true)
		if err := <-ended; err != nil || !strings.HasSuffix(out.String(), "last\n") || errs.String() != "oops\n" {
			t.Errorf("end: %v, out %q, err %q", err, out.String(), errs.String())
		}
	})
}

func TestFollowEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		err := Read(ctx, filepath.Join(t.TempDir(), "not yet"), Options{Follow: true}, io.Discard, io.Discard, func() bool { return false })
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(at(1) + " stdout F text"))
	f.Add([]byte(at(1) + " stderr P:x "))
	f.Add([]byte("2026-11-22T21:30:00+02:00 stdout F"))
	f.Fuzz(func(t *testing.T, line []byte) {
		e, err := Parse(line)
		if err != nil {
			return
		}
		tag := "F"
		if e.Partial {
			tag = "P"
		}
		again, err := Parse(fmt.Appendf(nil, "%s %s %s %s", e.Time.Format(time.RFC3339Nano), e.Stream, tag, e.Text))
		if err != nil || !again.Time.Equal(e.Time) || again.Stream != e.Stream || again.Partial != e.Partial || !bytes.Equal(again.Text, e.Text) {
			t.Errorf("%q is %+v, written out %+v (%v)", line, e, again, err)
		}
	})
}

func add(t *testing.T, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
}

// buffer may be read while it is written.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
