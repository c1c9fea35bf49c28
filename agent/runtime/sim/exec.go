package sim

import (
	"context"
	"fmt"
	"io"
	"iter"
	"strconv"
	"strings"

	"optimist/agent/runtime"
)

// programs are what every simulated container can execute.
var programs = map[string]func(p runtime.Process) (int, error){
	"true":  func(runtime.Process) (int, error) { return 0, nil },
	"false": func(runtime.Process) (int, error) { return 1, nil },
	"echo": func(p runtime.Process) (int, error) {
		_, err := fmt.Fprintln(p.Stdout, strings.Join(p.Command[1:], " "))
		return 0, err
	},
	"cat": func(p runtime.Process) (int, error) {
		if p.Stdin == nil {
			return 0, nil
		}
		_, err := io.Copy(p.Stdout, p.Stdin)
		return 0, err
	},
	"exit": func(p runtime.Process) (int, error) {
		if len(p.Command) < 2 {
			return 0, nil
		}
		return strconv.Atoi(p.Command[1])
	},
}

// Exec runs one of the programs in a running container. "sh -c LINE" runs LINE, split at blanks.
func (r *Runtime) Exec(_ context.Context, id runtime.ContainerID, p runtime.Process) (int, error) {
	c, running := r.find(id), false
	r.locked(func() { running = c != nil && c.Phase == runtime.Running })
	if !running {
		return 0, fmt.Errorf("exec in %s, which does not run: %w", id, runtime.ErrNotFound)
	}
	if len(p.Command) == 3 && strings.HasSuffix(p.Command[0], "sh") && p.Command[1] == "-c" {
		p.Command = strings.Fields(p.Command[2])
	}
	if len(p.Command) == 0 {
		return 0, nil
	}
	run := programs[p.Command[0][strings.LastIndexByte(p.Command[0], '/')+1:]]
	if run == nil {
		return 0, fmt.Errorf("%w: %q: no such file or directory (simulated containers know cat, echo, exit, false, true)", runtime.ErrCannotRun, p.Command[0])
	}
	return run(p)
}

// Logs yields the lines of sim:print; they are not stored, for they all came with the start.
func (r *Runtime) Logs(ctx context.Context, id runtime.ContainerID, tail *int64, follow bool) iter.Seq2[runtime.Line, error] {
	return func(yield func(runtime.Line, error) bool) {
		c := r.find(id)
		if c == nil {
			yield(runtime.Line{}, fmt.Errorf("logs of %s: %w", id, runtime.ErrNotFound))
			return
		}
		lines := c.print
		if tail != nil {
			lines = lines[max(0, len(lines)-int(*tail)):]
		}
		for _, text := range lines {
			if !yield(runtime.Line{Time: c.Started, Text: text}, nil) {
				return
			}
		}
		if follow {
			select {
			case <-c.gone:
			case <-ctx.Done():
			}
		}
	}
}
