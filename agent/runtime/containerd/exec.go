package containerd

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/pkg/cio"
	"github.com/containerd/errdefs"

	"optimist/agent/runtime"
)

// startTime is more than any start takes.
const startTime = 2 * time.Minute

// Exec runs one more process in the container and returns when it has exited and all its output is written. Ending ctx kills it.
func (r *Runtime) Exec(ctx context.Context, id runtime.ContainerID, p runtime.Process) (int, error) {
	code, err := r.exec(r.in(ctx), id, p)
	switch {
	case err == nil:
		return code, nil
	case ctx.Err() != nil: // containerd's words for it do not wrap it
		err = errors.Join(ctx.Err(), err)
	case strings.Contains(err.Error(), "OCI runtime exec failed"): // runc's refusal: no such command, no such user
		err = fmt.Errorf("%w: %w", runtime.ErrCannotRun, err)
	case errdefs.IsNotFound(err):
		err = fmt.Errorf("%w, or it does not run: %w", runtime.ErrNotFound, err)
	}
	return 0, fmt.Errorf("exec in %s: %w", id, err)
}

func (r *Runtime) exec(ctx context.Context, id runtime.ContainerID, p runtime.Process) (int, error) {
	c, err := r.client.LoadContainer(ctx, id.String())
	if err != nil {
		return 0, err
	}
	task, err := c.Task(ctx, nil)
	if err != nil {
		return 0, err
	}
	spec, err := c.Spec(ctx)
	if err != nil {
		return 0, err
	}
	process := spec.Process // the container's own (user, environment, capabilities) with another command
	process.Args, process.Terminal = p.Command, p.TTY
	if p.TTY && !slices.ContainsFunc(process.Env, func(e string) bool { return strings.HasPrefix(e, "TERM=") }) {
		process.Env = append(process.Env, "TERM=xterm")
	}
	started := make(chan client.Process, 1)
	defer close(started)
	running, err := task.Exec(ctx, "exec-"+rand.Text(), process, r.streams(ctx, p, started))
	if err != nil {
		return 0, err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUpTime)
		defer cancel()
		_, _ = running.Delete(ctx, client.WithProcessKill) // gone with the container otherwise
	}()
	exited, err := running.Wait(ctx)
	if err != nil {
		return 0, err
	}
	if err := start(ctx, running); err != nil {
		return 0, err
	}
	started <- running
	return follow(ctx, running, exited, p.Resize)
}

// start waits for a start that has begun even when ctx ends meanwhile: a runc that is broken off may have left a process that nobody knows and
// so nobody kills.
func start(ctx context.Context, p client.Process) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), startTime)
	defer cancel()
	return p.Start(ctx)
}

// follow passes terminal sizes on until the process has ended; then it waits for the rest of the output, which may be longer on its way.
func follow(ctx context.Context, p client.Process, exited <-chan client.ExitStatus, resize <-chan runtime.Size) (int, error) {
	var all chan struct{}
	var status client.ExitStatus
	for {
		select {
		case size, ok := <-resize:
			if !ok {
				resize = nil
				continue
			}
			_ = p.Resize(ctx, uint32(size.Width), uint32(size.Height)) // the process may just have ended
		case status = <-exited:
			if status.Error() != nil {
				return 0, status.Error()
			}
			all = make(chan struct{})
			go func() { p.IO().Wait(); close(all) }()
			exited, resize = nil, nil
		case <-all:
			return int(status.ExitCode()), nil
		case <-ctx.Done():
			p.IO().Cancel()
			return 0, errors.Join(ctx.Err(), p.Kill(context.WithoutCancel(ctx), syscall.SIGKILL))
		}
	}
}

func (r *Runtime) streams(ctx context.Context, p runtime.Process, started <-chan client.Process) cio.Creator {
	return cio.NewCreator(func(o *cio.Streams) {
		o.Terminal = p.TTY
		if p.Stdin != nil {
			o.Stdin = &stdin{p.Stdin, ctx, started}
		}
		o.Stdout, o.Stderr = cmp.Or(p.Stdout, io.Discard), cmp.Or(p.Stderr, io.Discard)
		if p.TTY {
			o.Stderr = nil
		}
	}, cio.WithFIFODir(filepath.Join(r.cfg.Root, "exec")))
}

// stdin adds to a process's input what containerd's pipes lack: at its end the process must see the end, too, as soon as there is one.
type stdin struct {
	io.Reader
	ctx     context.Context
	started <-chan client.Process
}

func (s *stdin) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	if err != nil {
		go func() {
			if running, ok := <-s.started; ok {
				_ = running.CloseIO(s.ctx, client.WithStdinCloser)
			}
		}()
	}
	return n, err
}
