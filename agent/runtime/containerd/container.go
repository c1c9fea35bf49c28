package containerd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/pkg/cio"
	"github.com/containerd/errdefs"
	"golang.org/x/sync/errgroup"

	"optimist/agent/runtime"
)

// cleanUpTime bounds what is undone after a failure, even when the caller's context has ended.
const cleanUpTime = 30 * time.Second

// StartContainer creates the container and starts its first process, unless this attempt was started before.
func (r *Runtime) StartContainer(ctx context.Context, spec runtime.ContainerSpec) error {
	ctx = r.in(ctx)
	defer r.locks.lock(spec.ID.String())()
	if done, err := r.startedBefore(ctx, spec.ID); done || err != nil {
		return err
	}
	box, err := r.load(spec.ID.Pod)
	if err != nil {
		return fmt.Errorf("container %s: sandbox %s: %w", spec.ID, spec.ID.Pod, runtime.ErrNotFound)
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

// startedBefore also clears what a killed agent left half-made.
func (r *Runtime) startedBefore(ctx context.Context, id runtime.ContainerID) (bool, error) {
	c, err := r.client.LoadContainer(ctx, id.String())
	if errdefs.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	labels, err := c.Labels(ctx)
	if err != nil {
		return false, err
	}
	if _, started := r.started(id); started || labels[labelExitCode] != "" {
		return true, nil
	}
	return false, r.delete(ctx, c, id)
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
		client.WithSnapshotter(r.cfg.Snapshotter),
		r.withFreshSnapshot(spec.ID.String(), image),
		client.WithNewSpec(r.specOptions(box, image, spec)...),
	)
}

// start gives the container to the kernel. Once the marker is written, it counts as started whatever happens to us.
func (r *Runtime) start(ctx context.Context, c client.Container, spec runtime.ContainerSpec) error {
	if err := os.MkdirAll(filepath.Dir(spec.LogPath), 0o755); err != nil {
		return err
	}
	task, err := c.NewTask(ctx, r.output(spec))
	if err == nil {
		if err = r.markStarted(spec.ID); err == nil {
			err = task.Start(ctx)
		}
	}
	if err == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUpTime)
	defer cancel()
	if !cannotRun(err) {
		return errors.Join(fmt.Errorf("start container %s: %w", spec.ID, err), r.delete(ctx, c, spec.ID))
	}
	if err := r.deleteTask(ctx, c); err != nil {
		return err
	}
	now := time.Now()
	failed := exit{Code: 128, Reason: "StartError", Message: err.Error(), Started: now, Finished: now}
	if err := r.record(ctx, c, failed); err != nil {
		return err
	}
	return fmt.Errorf("%w: %s: %w", runtime.ErrCannotRun, spec.ID, err)
}

// cannotRun tells runc's refusal (no such command, no such mount, …) from trouble with containerd.
func cannotRun(err error) bool {
	text := err.Error()
	return strings.Contains(text, "OCI runtime create failed") || strings.Contains(text, "OCI runtime start failed")
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
	if errdefs.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	task, err := c.Task(ctx, nil)
	if err == nil {
		err = r.end(ctx, c, task, grace)
	}
	if err != nil && !errdefs.IsNotFound(err) {
		return fmt.Errorf("stop container %s: %w", id, err)
	}
	return r.settle(ctx, id)
}

func (r *Runtime) end(ctx context.Context, c client.Container, task client.Task, grace time.Duration) error {
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
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Remove deletes an exited container with its writable layer.
func (r *Runtime) Remove(ctx context.Context, id runtime.ContainerID) error {
	ctx = r.in(ctx)
	defer r.locks.lock(id.String())()
	c, err := r.client.LoadContainer(ctx, id.String())
	if errdefs.IsNotFound(err) {
		return r.unmarkStarted(id)
	}
	if err != nil {
		return err
	}
	if task, err := c.Task(ctx, nil); err == nil {
		if status, err := task.Status(ctx); err == nil && status.Status == client.Running {
			return fmt.Errorf("container %s runs; stop it first", id)
		}
	}
	return r.delete(ctx, c, id)
}

// delete removes a container in whatever condition. The caller holds its lock.
func (r *Runtime) delete(ctx context.Context, c client.Container, id runtime.ContainerID) error {
	if err := r.deleteTask(ctx, c); err != nil {
		return err
	}
	if err := c.Delete(ctx, client.WithSnapshotCleanup); err != nil && !errdefs.IsNotFound(err) {
		return fmt.Errorf("delete container %s: %w", id, err)
	}
	return r.unmarkStarted(id)
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

// removeContainers deletes all that match a containerd filter, four at a time: more do not go faster.
func (r *Runtime) removeContainers(ctx context.Context, filter string) error {
	all, err := r.client.Containers(ctx, filter)
	if err != nil {
		return err
	}
	var group errgroup.Group
	group.SetLimit(4)
	for _, c := range all {
		group.Go(func() error {
			id, ok := parseID(c.ID())
			if !ok {
				return nil // not ours
			}
			defer r.locks.lock(c.ID())()
			return r.delete(ctx, c, id)
		})
	}
	return group.Wait()
}
