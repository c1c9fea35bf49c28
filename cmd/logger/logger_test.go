package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"optimist/agent/logs"
)

// logged writes text through a logger of the given size and returns what a reader makes of its files.
func logged(t *testing.T, limit int64, keep int, stdout, stderr string) (out, errs string, files int) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pod", "c.log")
	log, err := open(path, limit, keep)
	if err != nil {
		t.Fatal(err)
	}
	var streams sync.WaitGroup
	streams.Go(func() { split(strings.NewReader(stdout), "stdout", log) })
	streams.Go(func() { split(strings.NewReader(stderr), "stderr", log) })
	streams.Wait()
	var o, e bytes.Buffer
	if err := logs.Print(logs.Lines(t.Context(), path, nil, false, nil), logs.Options{}, &o, &e); err != nil {
		t.Fatal(err)
	}
	all, _ := filepath.Glob(path + "*")
	return o.String(), e.String(), len(all)
}

func TestWhatIsPrintedIsRead(t *testing.T) {
	long := strings.Repeat("x", 3*longest+5)
	for _, test := range []struct{ sentence, stdout, stderr string }{
		{"both streams, apart", "one\ntwo\n", "oops\n"},
		{"empty lines", "\n\n", ""},
		{"a line longer than an entry", long + "\nnext\n", ""},
		{"a line of exactly an entry", long[:longest] + "\n" + long[:longest-1] + "\n", ""},
		{"a last line without its newline", "one\ntwo", ""},
	} {
		t.Run(test.sentence, func(t *testing.T) {
			out, errs, _ := logged(t, 1<<20, 3, test.stdout, test.stderr)
			if out != test.stdout || errs != test.stderr {
				t.Errorf("%q, %q; want %q, %q", out, errs, test.stdout, test.stderr)
			}
		})
	}
}

func TestRotationKeepsTheNewest(t *testing.T) {
	var text strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&text, "line %d\n", i)
	}
	for keep := range 4 {
		out, _, files := logged(t, 1000, keep, text.String(), "")
		if files > max(keep, 1) || !strings.HasSuffix(text.String(), out) || !strings.HasSuffix(out, "line 999\n") {
			t.Errorf("keep %d: %d files, %.30q…", keep, files, out)
		}
	}
}

func TestEntrySpelling(t *testing.T) {
	at := time.Date(2026, 11, 22, 21, 30, 0, 120, time.UTC)
	got := string(appendEntry(nil, at, "stderr", []byte("text\n"))) + string(appendEntry(nil, at, "stdout", []byte("te")))
	want := "2026-11-22T21:30:00.000000120Z stderr F text\n2026-11-22T21:30:00.000000120Z stdout P te\n"
	if got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// A program must never wait for a disk.
func TestAFileThatCannotBeWrittenBlocksNobody(t *testing.T) {
	dir := t.TempDir()
	log, err := open(filepath.Join(dir, "c.log"), 100, 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(dir); err != nil { // rotation now fails to open the next file
		t.Fatal(err)
	}
	text := strings.NewReader(strings.Repeat("a line\n", 1000))
	split(text, "stdout", log)
	if rest, _ := io.ReadAll(text); len(rest) > 0 {
		t.Errorf("%d bytes were not read", len(rest))
	}
}
