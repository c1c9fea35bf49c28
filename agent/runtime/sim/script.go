package sim

import (
	"context"
	"fmt"
	"io"
	"iter"
	"strconv"
	"strings"
	"time"

	"optimist/agent/runtime"
)

// script is what a simulated container does with its life.
type script struct {
	startAfter time.Duration
	readyAfter time.Duration
	readyFor   time.Duration // 0 = for ever
	ends       bool          // by itself
	after      time.Duration
	code       int
	print      []string
	ports      []int // on which it answers HTTP
	oom        bool
	ignoreTerm bool
}

// words is the table of doc.go.
var words = map[string]func(s *script, value string) error{
	"sim:start-after": func(s *script, v string) (err error) { s.startAfter, err = time.ParseDuration(v); return },
	"sim:ready-after": func(s *script, v string) (err error) { s.readyAfter, err = time.ParseDuration(v); return },
	"sim:ready-for":   func(s *script, v string) (err error) { s.readyFor, err = time.ParseDuration(v); return },
	"sim:exit":        func(s *script, v string) (err error) { s.ends = true; s.code, err = strconv.Atoi(v); return },
	"sim:after":       func(s *script, v string) (err error) { s.ends = true; s.after, err = time.ParseDuration(v); return },
	"sim:crash-every": func(s *script, v string) (err error) {
		s.ends, s.code = true, 1
		s.after, err = time.ParseDuration(v)
		return
	},
	"sim:print": func(s *script, v string) error { s.print = append(s.print, v); return nil },
	"sim:http": func(s *script, v string) error {
		port, err := strconv.Atoi(v)
		s.ports = append(s.ports, port)
		return err
	},
	"sim:oom":         func(s *script, _ string) error { s.ends, s.oom = true, true; return nil },
	"sim:ignore-term": func(s *script, _ string) error { s.ignoreTerm = true; return nil },
}

// parse reads the words of a command line; what does not begin with "sim:" means nothing here.
func parse(line []string) (s script, err error) {
	for _, word := range line {
		name, value, _ := strings.Cut(word, "=")
		if !strings.HasPrefix(name, "sim:") {
			continue
		}
		set := words[name]
		if set == nil {
			return s, fmt.Errorf("%q is not among the words that a simulated container knows", word)
		}
		if err := set(&s, value); err != nil {
			return s, fmt.Errorf("%q: %w", word, err)
		}
	}
	return s, nil
}

// repository strips tag and digest from an image's name.
func repository(ref string) string {
	ref, _, _ = strings.Cut(ref, "@")
	if i := strings.LastIndexByte(ref, ':'); i > strings.LastIndexByte(ref, '/') {
		ref = ref[:i]
	}
	return ref
}

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

// Probe answers for readiness what the script says; otherwise whoever runs is well.
func (r *Runtime) Probe(id runtime.ContainerID, kind string) (ok bool, said string) {
	c := r.find(id)
	if c == nil || kind != "Readiness" {
		return c != nil, "no such container"
	}
	age := time.Since(c.Started) - c.readyAfter
	return age >= 0 && (c.readyFor == 0 || age < c.readyFor), "the script says so"
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
