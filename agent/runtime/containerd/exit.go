package containerd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/errdefs"

	"optimist/agent/runtime"
)

// exit is how a container ended, as its labels keep it.
type exit struct {
	Code              int
	Reason, Message   string
	Started, Finished time.Time
}

// lost is the end of a container whose task vanished while nobody looked: a killed shim, a reboot. Kubernetes says the same.
var lost = exit{Code: 255, Reason: "Unknown", Message: "the container's process is gone and its exit code unknown"}

// settle turns a stopped task into labels on its container and deletes it, so that nothing runs for an exited container. It decides
// under the container's lock; State, Stop and Events may all come here for the same exit.
func (r *Runtime) settle(ctx context.Context, id runtime.ContainerID) error {
	defer r.locks.lock(id.String())()
	c, err := r.client.LoadContainer(ctx, id.String())
	if errdefs.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	labels, err := c.Labels(ctx)
	if err != nil {
		return err
	}
	ended, err := r.ended(ctx, c, id)
	if err != nil || ended == nil {
		return err
	}
	if labels[labelExitCode] == "" {
		if err := r.record(ctx, c, *ended); err != nil {
			return err
		}
	}
	return r.deleteTask(ctx, c)
}

// ended returns how the container ended, nil when it did not (it runs, or was never started).
func (r *Runtime) ended(ctx context.Context, c client.Container, id runtime.ContainerID) (*exit, error) {
	started, wasStarted := r.started(id)
	task, err := c.Task(ctx, nil)
	if errdefs.IsNotFound(err) {
		if !wasStarted {
			return nil, nil
		}
		end := lost
		end.Started, end.Finished = started, time.Now()
		return &end, nil
	}
	if err != nil {
		return nil, err
	}
	status, err := task.Status(ctx)
	if err != nil {
		return nil, err
	}
	if status.Status != client.Stopped {
		return nil, nil
	}
	code := int(status.ExitStatus)
	return &exit{Code: code, Reason: r.reason(id, code), Started: started, Finished: status.ExitTime}, nil
}

func (r *Runtime) reason(id runtime.ContainerID, code int) string {
	switch {
	case code == 0:
		return "Completed"
	case code == 137 && r.cgroups.oomKills(id) > 0: // a child's OOM leaves the container alive
		return "OOMKilled"
	}
	return "Error"
}

func (r *Runtime) record(ctx context.Context, c client.Container, e exit) error {
	const longest = 3000 // containerd takes labels of 4096 bytes, name included
	if len(e.Message) > longest {
		e.Message = e.Message[:longest] + " …"
	}
	_, err := c.SetLabels(ctx, map[string]string{
		labelExitCode: strconv.Itoa(e.Code),
		labelReason:   e.Reason,
		labelMessage:  e.Message,
		labelStarted:  e.Started.UTC().Format(time.RFC3339Nano),
		labelFinished: e.Finished.UTC().Format(time.RFC3339Nano),
	})
	if err != nil {
		return fmt.Errorf("record the exit of %s: %w", c.ID(), err)
	}
	return nil
}

// The marker's time of change is when the container was started.
func (r *Runtime) marker(id runtime.ContainerID) string {
	return filepath.Join(r.dir(id.Pod), id.String()+".started")
}

func (r *Runtime) markStarted(id runtime.ContainerID) error {
	return os.WriteFile(r.marker(id), nil, 0o600)
}

func (r *Runtime) started(id runtime.ContainerID) (time.Time, bool) {
	info, err := os.Stat(r.marker(id))
	if err != nil {
		return time.Time{}, false
	}
	return info.ModTime(), true
}

func (r *Runtime) unmarkStarted(id runtime.ContainerID) error {
	if err := os.Remove(r.marker(id)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
