package sim

import (
	"context"
	"fmt"
	"slices"
	"time"

	"optimist/agent/runtime"
	"optimist/internal/wake"
)

// container is one attempt: what State shows, and how it goes on.
type container struct {
	runtime.Container
	script
	timer *time.Timer   // ends it by itself; nil = it does not
	gone  chan struct{} // closed when it has ended
}

// exit is a way to end.
type exit struct {
	code, signal    int
	reason, message string
}

var (
	terminated = exit{reason: "Completed"} // as a program that handles SIGTERM
	killed     = exit{code: 137, signal: 9, reason: "Error"}
	oomKilled  = exit{code: 137, signal: 9, reason: "OOMKilled"}
)

func (s script) exit() exit {
	switch {
	case s.oom:
		return oomKilled
	case s.code == 0:
		return terminated
	}
	return exit{code: s.code, reason: "Error"}
}

// StartContainer makes the record of this attempt, unless it exists.
func (r *Runtime) StartContainer(ctx context.Context, spec runtime.ContainerSpec) error {
	life, fault := parse(slices.Concat(spec.Command, spec.Args))
	if r.find(spec.ID) != nil {
		return nil
	}
	if life.startAfter > 0 {
		if err := wake.After(ctx, life.startAfter, nil); err != nil {
			return fmt.Errorf("start container %s: %w", spec.ID, err)
		}
	}
	if len(spec.Command) > 0 && spec.Command[0] == "/missing" {
		fault = fmt.Errorf("exec: %q: no such file or directory", spec.Command[0])
	}
	return r.start(spec, life, fault)
}

func (r *Runtime) start(spec runtime.ContainerSpec, life script, fault error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	b := r.boxes[spec.ID.Pod]
	if b == nil {
		return fmt.Errorf("container %s: sandbox %s: %w", spec.ID, spec.ID.Pod, runtime.ErrNotFound)
	}
	if b.find(spec.ID) != nil {
		return nil
	}
	if !r.images[spec.Image] {
		return fmt.Errorf("container %s: image %s: %w", spec.ID, spec.Image, runtime.ErrNoImage)
	}
	c := &container{script: life, gone: make(chan struct{}), Container: runtime.Container{ID: spec.ID, Image: spec.Image, ImageID: image(spec.Image).ID,
		Labels: spec.Labels, LogPath: spec.LogPath, Phase: runtime.Running, Started: time.Now()}}
	b.containers = append(b.containers, c)
	if fault != nil {
		r.end(c, exit{code: 127, reason: "StartError", message: fault.Error()})
		return fmt.Errorf("%w: %s: %w", runtime.ErrCannotRun, spec.ID, fault)
	}
	if life.ends {
		c.timer = time.AfterFunc(life.after, func() { r.locked(func() { r.end(c, life.exit()); r.tell(c.ID.Pod) }) })
	}
	return nil
}

// end records the exit of what runs. The caller holds the mutex.
func (r *Runtime) end(c *container, how exit) {
	if c.Phase != runtime.Running {
		return
	}
	if c.timer != nil {
		c.timer.Stop()
	}
	c.Phase, c.Finished = runtime.Exited, time.Now()
	c.ExitCode, c.Signal, c.Reason, c.Message = how.code, how.signal, how.reason, how.message
	close(c.gone)
}

// Stop ends the container at SIGTERM, or after the grace if it ignores that.
func (r *Runtime) Stop(ctx context.Context, id runtime.ContainerID, grace time.Duration) error {
	c := r.find(id)
	if c == nil {
		return nil
	}
	how := terminated
	if grace <= 0 {
		how = killed
	} else if c.ignoreTerm {
		select {
		case <-c.gone:
		case <-time.After(grace):
		case <-ctx.Done():
			return fmt.Errorf("stop container %s: %w", id, ctx.Err())
		}
		how = killed
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.end(c, how)
	return nil
}

// Remove forgets an exited attempt.
func (r *Runtime) Remove(_ context.Context, id runtime.ContainerID) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	b := r.boxes[id.Pod]
	if b == nil {
		return nil
	}
	if c := b.find(id); c != nil && c.Phase == runtime.Running {
		return fmt.Errorf("container %s runs; stop it first", id)
	}
	b.containers = slices.DeleteFunc(b.containers, func(c *container) bool { return c.ID == id })
	return nil
}

func (b *sandbox) find(id runtime.ContainerID) *container {
	if i := slices.IndexFunc(b.containers, func(c *container) bool { return c.ID == id }); i >= 0 {
		return b.containers[i]
	}
	return nil
}

// find returns an attempt, or nil. Only its constant fields may be read without the mutex.
func (r *Runtime) find(id runtime.ContainerID) *container {
	r.mu.Lock()
	defer r.mu.Unlock()
	if b := r.boxes[id.Pod]; b != nil {
		return b.find(id)
	}
	return nil
}
