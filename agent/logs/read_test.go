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
		tail           *int64
		options        Options
		stdout, stderr string
	}{
		{"all files, oldest first, each stream apart, rubble and unfinished entries left out", nil, Options{}, "one\nthree\n\n", "two\nfive\n"},
		{"since a moment, inclusive", nil, Options{Since: time.Date(2026, 11, 22, 21, 30, 3, 1, time.UTC)}, "three\n\n", "five\n"},
		{"the last two entries", number(2), Options{}, "\n", "five\n"},
		{"a tail that reaches into an older file", number(4), Options{}, "ee\n\n", "five\n"},
		{"a tail of nothing", number(0), Options{}, "", ""},
		{"a tail longer than the log", number(100), Options{}, "one\nthree\n\n", "two\nfive\n"},
		{"a limit that cuts a line", nil, Options{LimitBytes: number(6)}, "one\n", "tw"},
		{"a limit at the end of a line", nil, Options{LimitBytes: number(8)}, "one\n", "two\n"},
		{"times stand before whole lines", nil, Options{Timestamps: true}, at(1) + " one\n" + at(3) + " three\n" + at(4) + " \n", at(2) + " two\n" + at(5) + " five\n"},
	} {
		t.Run(test.sentence, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			if err := Print(Lines(t.Context(), log(t, old, mid, last), test.tail, false, nil), test.options, &stdout, &stderr); err != nil {
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
	if err := Print(Lines(t.Context(), log(t, text.String()), &n, false, nil), Options{}, &out, io.Discard); err != nil {
		t.Fatal(err)
	}
	if lines := strings.Count(out.String(), "\n"); lines != 5_000 || !strings.HasPrefix(out.String(), "line 15000\n") {
		t.Errorf("%d lines, first %.20q", lines, &out)
	}
}

func TestMissingLogIsAnError(t *testing.T) {
	err := Print(Lines(t.Context(), filepath.Join(t.TempDir(), "none"), nil, false, nil), Options{}, io.Discard, io.Discard)
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
		go func() { ended <- Print(Lines(t.Context(), path, nil, true, exited.Load), Options{}, &out, &errs) }()
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
		err := Print(Lines(ctx, filepath.Join(t.TempDir(), "not yet"), nil, true, func() bool { return false }), Options{}, io.Discard, io.Discard)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add(at(1) + " stdout F text")
	f.Add(at(1) + " stderr P:x ")
	f.Add("2026-11-22T21:30:00+02:00 stdout F")
	f.Fuzz(func(t *testing.T, line string) {
		e, err := Parse(line)
		if err != nil {
			return
		}
		stream, tag := map[bool]string{false: "stdout", true: "stderr"}[e.Stderr], map[bool]string{false: "F", true: "P"}[e.Partial]
		again, err := Parse(fmt.Sprintf("%s %s %s %s", e.Time.Format(time.RFC3339Nano), stream, tag, e.Text))
		if err != nil || !again.Time.Equal(e.Time) || again.Stderr != e.Stderr || again.Partial != e.Partial || again.Text != e.Text {
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
