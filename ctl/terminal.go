package ctl

import (
	"context"
	"encoding/json"
	"io"
	"os"

	"golang.org/x/term"
)

// terminal is a standard input or output that a person sits at.
type terminal struct{ fd int }

// terminalOf returns nil for files, pipes and tests.
func terminalOf(stream any) *terminal {
	f, ok := stream.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return nil
	}
	return &terminal{fd: int(f.Fd())}
}

func isTerminal(w io.Writer) bool { return terminalOf(w) != nil }

// raw passes every key on as it is typed, Ctrl-C too.
func (t *terminal) raw() (restore func(), err error) {
	state, err := term.MakeRaw(t.fd)
	if err != nil {
		return nil, err
	}
	return func() { _ = term.Restore(t.fd, state) }, nil
}

// sizes tells the terminal's size now and whenever it changes.
func (t *terminal) sizes(ctx context.Context, tell func([]byte)) {
	changed := resized(ctx)
	width, height := 0, 0
	for {
		w, h, err := term.GetSize(t.fd)
		if err == nil && (w != width || h != height) {
			width, height = w, h
			size, _ := json.Marshal(struct{ Width, Height int }{w, h})
			tell(size)
		}
		select {
		case <-ctx.Done():
			return
		case <-changed:
		}
	}
}
