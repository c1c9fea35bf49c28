package ctl

import (
	"context"
	"encoding/json"
	"os"
	"time"

	"golang.org/x/term"

	"optimist/internal/api"
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

// raw passes every key on as it is typed, Ctrl-C too.
func (t *terminal) raw() (restore func(), err error) {
	state, err := term.MakeRaw(t.fd)
	return func() { _ = term.Restore(t.fd, state) }, err
}

// sizes tells the terminal's size now and whenever it has changed. Not every system has a signal for that, so it looks.
func (t *terminal) sizes(ctx context.Context, s api.Stream) {
	var told struct{ Width, Height int }
	for look := time.Tick(250 * time.Millisecond); ctx.Err() == nil; <-look {
		now := told
		var err error
		if now.Width, now.Height, err = term.GetSize(t.fd); err == nil && now != told {
			told = now
			size, _ := json.Marshal(now) // two numbers
			_ = s.Send(api.Frame{Channel: api.ChannelResize, Data: size})
		}
	}
}
