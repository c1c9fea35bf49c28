package containerd

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/pkg/cio"
	"github.com/containerd/errdefs"
	"github.com/opencontainers/runtime-spec/specs-go"

	"optimist/agent/runtime"
)

// Exec runs one more process in the container and returns when it has exited and all its output is written. Ending ctx kills it.
func (r *Runtime) Exec(ctx context.Context, id runtime.ContainerID, p runtime.Process) (int, error) {
	ctx = r.in(ctx)
	task, process, err := r.execSpec(ctx, id, p)
	if err != nil {
		return 0, err
	}
	streams := newStreams(p)
	creator := cio.NewCreator(streams.option, cio.WithFIFODir(filepath.Join(r.cfg.Root, "exec")))
	running, err := task.Exec(ctx, "exec-"+rand.Text(), process, creator)
	if err != nil {
		return 0, fmt.Errorf("exec in %s: %w", id, err)
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUpTime)
		defer cancel()
		_, _ = running.Delete(ctx, client.WithProcessKill) // gone with the container otherwise
	}()
	code, err := r.run(ctx, running, streams, p.Resize)
	switch {
	case err == nil:
		return code, nil
	case strings.Contains(err.Error(), "OCI runtime exec failed"): // runc's refusal: no such command, no such user
		return 0, fmt.Errorf("%w: exec in %s: %w", runtime.ErrCannotRun, id, err)
	case errdefs.IsNotFound(err):
		return 0, fmt.Errorf("exec in %s: %w: %w", id, runtime.ErrNotFound, err)
	}
	return 0, fmt.Errorf("exec in %s: %w", id, err)
}

// execSpec is the container's own process (user, environment, capabilities) with another command.
func (r *Runtime) execSpec(ctx context.Context, id runtime.ContainerID, p runtime.Process) (client.Task, *specs.Process, error) {
	c, err := r.client.LoadContainer(ctx, id.String())
	if errdefs.IsNotFound(err) {
		return nil, nil, fmt.Errorf("exec in %s: %w", id, runtime.ErrNotFound)
	}
	if err != nil {
		return nil, nil, err
	}
	task, err := c.Task(ctx, nil)
	if errdefs.IsNotFound(err) {
		return nil, nil, fmt.Errorf("exec in %s, which does not run: %w", id, runtime.ErrNotFound)
	}
	if err != nil {
		return nil, nil, err
	}
	spec, err := c.Spec(ctx)
	if err != nil {
		return nil, nil, err
	}
	process := spec.Process
	process.Args, process.Terminal = p.Command, p.TTY
	if p.TTY && !slices.ContainsFunc(process.Env, func(e string) bool { return strings.HasPrefix(e, "TERM=") }) {
		process.Env = append(process.Env, "TERM=xterm")
	}
	return task, process, nil
}

// run starts the process and sees it through.
func (r *Runtime) run(ctx context.Context, p client.Process, streams *streams, resize <-chan runtime.Size) (int, error) {
	exited, err := p.Wait(ctx)
	if err != nil {
		return 0, err
	}
	if err := p.Start(ctx); err != nil {
		return 0, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	streams.started(func() { _ = p.CloseIO(ctx, client.WithStdinCloser) })
	go follow(ctx, p, resize)
	select {
	case status := <-exited:
		if status.Error() != nil {
			return 0, status.Error()
		}
		return int(status.ExitCode()), drain(ctx, p)
	case <-ctx.Done():
		return 0, errors.Join(ctx.Err(), p.Kill(context.WithoutCancel(ctx), syscall.SIGKILL))
	}
}

// drain waits for the rest of the output: it may be longer on its way than the exit.
func drain(ctx context.Context, p client.Process) error {
	all := make(chan struct{})
	go func() { p.IO().Wait(); close(all) }()
	select {
	case <-all:
		return nil
	case <-ctx.Done():
		p.IO().Cancel()
		return ctx.Err()
	}
}

// follow passes terminal sizes on until the process has ended.
func follow(ctx context.Context, p client.Process, resize <-chan runtime.Size) {
	for {
		select {
		case size, ok := <-resize:
			if !ok {
				return
			}
			_ = p.Resize(ctx, uint32(size.Width), uint32(size.Height)) // the process may just have ended
		case <-ctx.Done():
			return
		}
	}
}

// streams adds to a process's stdin what containerd's pipes lack: at its end the process must see the end, too.
type streams struct {
	process runtime.Process
	ready   chan struct{} // closed when the process runs
	once    sync.Once
	close   func() // set before ready is closed
}

func newStreams(p runtime.Process) *streams { return &streams{process: p, ready: make(chan struct{})} }

func (s *streams) option(o *cio.Streams) {
	o.Terminal = s.process.TTY
	if s.process.Stdin != nil {
		o.Stdin = s
	}
	o.Stdout, o.Stderr = orDiscard(s.process.Stdout), orDiscard(s.process.Stderr)
	if s.process.TTY {
		o.Stderr = nil
	}
}

func orDiscard(w io.Writer) io.Writer {
	if w == nil {
		return io.Discard
	}
	return w
}

func (s *streams) started(closeStdin func()) {
	s.close = closeStdin
	close(s.ready)
}

// Read passes stdin on; after its end it closes the process's side, once there is one.
func (s *streams) Read(p []byte) (int, error) {
	n, err := s.process.Stdin.Read(p)
	if err != nil {
		s.once.Do(func() {
			go func() {
				select {
				case <-s.ready:
					s.close()
				case <-time.After(cleanUpTime): // it never started
				}
			}()
		})
	}
	return n, err
}
