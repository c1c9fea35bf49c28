package ctl

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"optimist/internal/api"
)

type exec struct {
	*session
	container         string
	stdin, tty, quiet bool
}

func execCommand(s *session) *cobra.Command {
	return new(exec).command(s, &cobra.Command{Use: "exec (POD | TYPE/NAME) [-c CONTAINER] [-it] -- COMMAND [ARG…]",
		Short: "Run a command in a container", Example: "  ctl exec web-1 -- date\n  ctl exec -it deploy/web -- sh",
		Args: func(c *cobra.Command, args []string) error {
			dash := c.ArgsLenAtDash()
			switch {
			case len(args) == 0 || dash == 0:
				return usage(c, "pod, type/name must be specified")
			case dash < 0 && len(args) > 1:
				return usage(c, "exec [POD] [COMMAND] is not supported anymore. Use exec [POD] -- [COMMAND] instead")
			case len(args) < 2:
				return usage(c, "you must specify at least one command for the container")
			}
			return nil
		}})
}

func attachCommand(s *session) *cobra.Command {
	return new(exec).command(s, &cobra.Command{Use: "attach (POD | TYPE/NAME) [-c CONTAINER] [-it]", Short: "Join the process that a container runs",
		Example: "  ctl attach web-1\n  ctl attach -it shell", Args: exactly(1, "POD or TYPE/NAME")})
}

func (e *exec) command(s *session, c *cobra.Command) *cobra.Command {
	e.session = s
	f := c.Flags()
	f.StringVarP(&e.container, "container", "c", "", "The container; by default the pod's first")
	f.BoolVarP(&e.stdin, "stdin", "i", false, "Pass standard input on")
	f.BoolVarP(&e.tty, "tty", "t", false, "Standard input is a terminal")
	f.BoolVarP(&e.quiet, "quiet", "q", false, "Print only what the process prints")
	c.ValidArgsFunction = s.completeNames(api.PodKind)
	c.RunE = e.run
	return c
}

// run streams between this terminal and a container until the process there ends.
func (e *exec) run(c *cobra.Command, args []string) error {
	pod, err := e.onePod(c, args[:1])
	if err != nil {
		return err
	}
	container, err := chooseContainer(c, pod, e.container, e.quiet)
	if err != nil {
		return err
	}
	terminal := terminalOf(c.InOrStdin())
	if e.tty && (!e.stdin || terminal == nil) {
		e.tty = false
		fmt.Fprintln(c.ErrOrStderr(), "Unable to use a TTY - input is not a terminal or the right kind of file")
	}
	target := api.Target{Kind: api.PodKind, Key: api.KeyOf(pod), Sub: c.Name()}
	stream, err := e.Connect(c.Context(), target, e.params(container, args[1:]))
	if err != nil {
		return err
	}
	return e.converse(c, &sender{Stream: stream}, terminal)
}

func (e *exec) params(container string, command []string) url.Values {
	p := url.Values{"container": {container}, "stdout": {"true"}}
	if len(command) > 0 {
		p["command"] = command
	}
	if e.stdin {
		p.Set("stdin", "true")
	}
	if e.tty {
		p.Set("tty", "true") // a terminal has one output only
	} else {
		p.Set("stderr", "true")
	}
	return p
}

// converse sends input (and, for a terminal, its sizes) while it prints output. The goroutine that reads standard input cannot be stopped; it
// ends with the process.
func (e *exec) converse(c *cobra.Command, s *sender, t *terminal) error {
	if e.tty {
		restore, err := t.raw()
		if err != nil {
			return err
		}
		defer restore()
		go t.sizes(c.Context(), s)
	}
	if e.stdin {
		go func() { _ = pump(s, c.InOrStdin()) }()
	} else if err := s.CloseSend(); err != nil {
		return err
	}
	return drain(s, c.OutOrStdout(), c.ErrOrStderr())
}

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
