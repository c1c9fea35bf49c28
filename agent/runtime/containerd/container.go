package containerd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/containers"
	"github.com/containerd/containerd/v2/pkg/cio"
	"github.com/containerd/errdefs"

	"optimist/agent/runtime"
	"optimist/internal/wake"
)

// cleanUpTime bounds what is undone after a failure, even when the caller's context has ended.
const cleanUpTime = 30 * time.Second

// StartContainer creates the container and starts its first process, unless this attempt was started before.
func (r *Runtime) StartContainer(ctx context.Context, spec runtime.ContainerSpec) error {
	ctx = r.in(ctx)
	defer r.containers.lock(spec.ID.String())()
	found, err := r.settle(ctx, spec.ID)
	if err != nil || found != nil && found.Phase != runtime.Created {
		return err
	}
	box, err := r.load(spec.ID.Pod)
	if err != nil {
		return fmt.Errorf("container %s: sandbox %s: %w", spec.ID, spec.ID.Pod, runtime.ErrNotFound)
	}
	if err := r.delete(ctx, spec.ID); err != nil { // what a killed agent left half-made
		return err
	}
	image, err := r.imageFor(ctx, spec)
	if err != nil {
		return err
	}
	c, err := r.create(ctx, box, image, spec)
	if err != nil {
		return fmt.Errorf("create container %s: %w", spec.ID, err)
	}
	return r.start(ctx, c, spec)
}

// create makes snapshot and container. The lease keeps containerd from collecting the snapshot before the container refers to it.
func (r *Runtime) create(ctx context.Context, box record, image client.Image, spec runtime.ContainerSpec) (client.Container, error) {
	ctx, release, err := r.client.WithLease(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = release(context.WithoutCancel(ctx)) }() // a lost lease ends by itself after a day
	return r.client.NewContainer(ctx, spec.ID.String(),
		client.WithRuntime(runc, nil),
		client.WithContainerLabels(labelsOf(spec, image.Target().Digest.String())),
		client.WithImage(image),
		client.WithImageStopSignal(image, "SIGTERM"),
		client.WithSnapshotter(""), // containerd's default
		withFreshSnapshot(spec.ID.String(), image),
		client.WithNewSpec(r.specOptions(box, image, spec)...),
	)
}

// withFreshSnapshot replaces what a start that was interrupted left under the same name.
func withFreshSnapshot(id string, image client.Image) client.NewContainerOpts {
	return func(ctx context.Context, cl *client.Client, c *containers.Container) error {
		if err := cl.SnapshotService(c.Snapshotter).Remove(ctx, id); err != nil && !errdefs.IsNotFound(err) {
			return err
		}
		return client.WithNewSnapshot(id, image)(ctx, cl, c)
	}
}

// start gives the container to the kernel. Once the marker is written, it counts as started whatever happens to us.
func (r *Runtime) start(ctx context.Context, c client.Container, spec runtime.ContainerSpec) error {
	if err := os.MkdirAll(filepath.Dir(spec.LogPath), 0o755); err != nil {
		return err
	}
	began := time.Now()
	err := r.run(ctx, c, spec)
	if err == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUpTime)
	defer cancel()
	if !strings.Contains(err.Error(), "OCI runtime ") { // not runc's refusal (no such command, no such mount, …) but trouble with containerd
		return errors.Join(fmt.Errorf("start container %s: %w", spec.ID, err), r.delete(ctx, spec.ID))
	}
	failed := runtime.Container{ExitCode: 128, Reason: "StartError", Message: err.Error(), Started: began, Finished: time.Now()}
	if err := errors.Join(r.deleteTask(ctx, c), recordExit(ctx, c, failed)); err != nil {
		return err
	}
	return fmt.Errorf("%w: %s: %w", runtime.ErrCannotRun, spec.ID, err)
}

func (r *Runtime) run(ctx context.Context, c client.Container, spec runtime.ContainerSpec) error {
	r.cgroup.RLock()
	task, err := c.NewTask(ctx, r.output(spec))
	r.cgroup.RUnlock()
	if err == nil {
		err = os.WriteFile(r.marker(spec.ID), nil, 0o600)
	}
	if err == nil {
		err = task.Start(ctx)
	}
	return err
}

// output sends what the container prints to a logger process of its own.
func (r *Runtime) output(spec runtime.ContainerSpec) cio.Creator {
	args := map[string]string{"-file": spec.LogPath}
	if spec.TTY {
		args["-streams"] = "1"
		return cio.TerminalBinaryIO(r.cfg.LoggerPath, args)
	}
	return cio.BinaryIO(r.cfg.LoggerPath, args)
}

// Stop asks, waits for the grace, then kills.
func (r *Runtime) Stop(ctx context.Context, id runtime.ContainerID, grace time.Duration) error {
	ctx = r.in(ctx)
	c, err := r.client.LoadContainer(ctx, id.String())
	if err == nil {
		err = end(ctx, c, grace)
	}
	if err != nil && !errdefs.IsNotFound(err) {
		return fmt.Errorf("stop container %s: %w", id, err)
	}
	_, err = r.look(ctx, id)
	return err
}

func end(ctx context.Context, c client.Container, grace time.Duration) error {
	task, err := c.Task(ctx, nil)
	if err != nil {
		return err
	}
	if grace > 0 {
		signal, err := client.GetStopSignal(ctx, c, syscall.SIGTERM)
		if err != nil {
			return err
		}
		if err := task.Kill(ctx, signal); err != nil {
			return err
		}
		asked, cancel := context.WithTimeout(ctx, grace)
		err = awaitExit(asked, task)
		cancel()
		if err == nil || ctx.Err() != nil {
			return err
		}
	}
	if err := task.Kill(ctx, syscall.SIGKILL); err != nil {
		return err
	}
	return awaitExit(ctx, task)
}

// awaitExit outlives restarts of containerd: a Wait that broke says nothing about the container.
func awaitExit(ctx context.Context, task client.Task) error {
	for {
		exited, err := task.Wait(ctx)
		if err != nil {
			return err
		}
		select {
		case status := <-exited:
			if status.Error() == nil || errdefs.IsNotFound(status.Error()) {
				return nil
			}
		case <-ctx.Done():
			return ctx.Err()
		}
		if status, err := task.Status(ctx); errdefs.IsNotFound(err) || err == nil && status.Status == client.Stopped {
			return nil
		}
		if err := wake.After(ctx, 100*time.Millisecond, nil); err != nil {
			return err
		}
	}
}

// Remove deletes an exited container with its writable layer.
func (r *Runtime) Remove(ctx context.Context, id runtime.ContainerID) error {
	ctx = r.in(ctx)
	defer r.containers.lock(id.String())()
	c, err := r.settle(ctx, id)
	if err == nil && c != nil && c.Phase == runtime.Running {
		err = fmt.Errorf("container %s runs; stop it first", id)
	}
	if err != nil {
		return err
	}
	return r.delete(ctx, id)
}

// delete removes a container in whatever condition, if there is one. The caller holds its lock.
func (r *Runtime) delete(ctx context.Context, id runtime.ContainerID) error {
	c, err := r.client.LoadContainer(ctx, id.String())
	if err == nil {
		if err = r.deleteTask(ctx, c); err == nil {
			err = c.Delete(ctx, client.WithSnapshotCleanup)
		}
	}
	if err != nil && !errdefs.IsNotFound(err) {
		return fmt.Errorf("delete container %s: %w", id, err)
	}
	if err := os.Remove(r.marker(id)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// deleteTask kills what still runs.
func (r *Runtime) deleteTask(ctx context.Context, c client.Container) error {
	task, err := c.Task(ctx, nil)
	if err == nil {
		_, err = task.Delete(ctx, client.WithProcessKill)
	}
	if err != nil && !errdefs.IsNotFound(err) {
		return fmt.Errorf("delete task %s: %w", c.ID(), err)
	}
	return nil
}
