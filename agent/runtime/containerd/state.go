package containerd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/errdefs"
	"k8s.io/apimachinery/pkg/types"

	"optimist/agent/runtime"
)

// State reads every pod that has a folder or a container here.
func (r *Runtime) State(ctx context.Context) ([]runtime.Sandbox, error) {
	dirs, err := os.ReadDir(filepath.Join(r.cfg.Root, "sandboxes"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	listed, err := r.client.ContainerService().List(r.in(ctx), fmt.Sprintf("labels.%q", labelPod))
	if err != nil {
		return nil, fmt.Errorf("list containers of containerd namespace %s: %w", r.cfg.Namespace, err)
	}
	pods := map[types.UID]bool{}
	for _, dir := range dirs {
		pods[types.UID(dir.Name())] = true
	}
	for _, c := range listed {
		pods[types.UID(c.Labels[labelPod])] = true
	}
	var state []runtime.Sandbox
	for _, pod := range slices.Sorted(maps.Keys(pods)) {
		box, err := r.Sandbox(ctx, pod)
		if err != nil {
			return nil, err
		}
		if box != nil {
			state = append(state, *box)
		}
	}
	return state, nil
}

// Sandbox reads one pod. Where there is no good record, what a killed agent left half-made or a reboot half-gone is swept.
func (r *Runtime) Sandbox(ctx context.Context, pod types.UID) (*runtime.Sandbox, error) {
	ctx = r.in(ctx)
	box, err := r.loadOrSweep(ctx, pod)
	if err != nil || box == nil {
		return nil, err
	}
	listed, err := r.client.ContainerService().List(ctx, ofPod(pod))
	if err != nil {
		return nil, err
	}
	for _, info := range listed {
		id, _ := parseID(info.ID)
		c, err := r.look(ctx, id)
		if err != nil {
			return nil, fmt.Errorf("look at container %s: %w", id, err)
		}
		if c != nil {
			box.Containers = append(box.Containers, *c)
		}
	}
	slices.SortFunc(box.Containers, byAge)
	return box, nil
}

func (r *Runtime) loadOrSweep(ctx context.Context, pod types.UID) (*runtime.Sandbox, error) {
	defer r.pods.lock(string(pod))()
	rec, err := r.load(pod)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, r.remove(ctx, pod)
	}
	if err != nil {
		return nil, err
	}
	box := r.describe(rec)
	return &box, nil
}

// byAge puts the oldest first, and what was never started last.
func byAge(a, b runtime.Container) int {
	if a.Started.IsZero() != b.Started.IsZero() {
		return -a.Started.Compare(b.Started)
	}
	return cmp.Or(a.Started.Compare(b.Started), cmp.Compare(a.ID.Name, b.ID.Name), cmp.Compare(a.ID.Attempt, b.ID.Attempt))
}

// look reads one attempt; nil: there is none.
func (r *Runtime) look(ctx context.Context, id runtime.ContainerID) (*runtime.Container, error) {
	defer r.containers.lock(id.String())()
	return r.settle(ctx, id)
}

// settle joins container, task and marker, and turns a stopped task into labels on its container, so that nothing runs for an exited
// container. The caller holds the container's lock: State, Stop and Events may all come here for the same exit.
func (r *Runtime) settle(ctx context.Context, id runtime.ContainerID) (*runtime.Container, error) {
	stored, err := r.client.LoadContainer(ctx, id.String())
	if errdefs.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	info, err := stored.Info(ctx, client.WithoutRefreshedMetadata)
	if err != nil {
		return nil, err
	}
	task, status, err := process(ctx, stored)
	if err != nil {
		return nil, err
	}
	c := fromLabels(id, info.Labels)
	recorded := c.Phase == runtime.Exited
	if !recorded && !r.join(&c, task, status) {
		return &c, nil
	}
	if !recorded {
		if err := recordExit(ctx, stored, c); err != nil {
			return nil, err
		}
	}
	return &c, r.deleteTask(ctx, stored)
}

// process is a container's task and how it stands; nil: there is none.
func process(ctx context.Context, c client.Container) (task client.Task, status client.Status, err error) {
	if task, err = c.Task(ctx, nil); err == nil {
		status, err = task.Status(ctx)
	}
	if errdefs.IsNotFound(err) {
		return nil, status, nil
	}
	return task, status, err
}

// join takes over what the task tells of a container, and says whether it has exited.
func (r *Runtime) join(c *runtime.Container, task client.Task, status client.Status) (exited bool) {
	started, wasStarted := r.started(c.ID)
	switch {
	case !wasStarted, task != nil && status.Status == client.Created:
		return false
	case task == nil: // its process vanished while nobody looked: a killed shim, a reboot. Kubernetes says the same
		c.ExitCode, c.Reason, c.Message, c.Finished = 255, "Unknown", "the container's process is gone and its exit code unknown", time.Now()
	case status.Status != client.Stopped:
		c.Phase, c.PID, c.Started = runtime.Running, int(task.Pid()), started
		return false
	default:
		c.ExitCode, c.Reason, c.Finished = int(status.ExitStatus), r.reason(c.ID, int(status.ExitStatus)), status.ExitTime
	}
	c.Phase, c.Started = runtime.Exited, started
	return true
}

func (r *Runtime) reason(id runtime.ContainerID, code int) string {
	switch {
	case code == 0:
		return "Completed"
	case code == 137 && r.oomKills(id) > 0: // a child's OOM leaves the container alive
		return "OOMKilled"
	}
	return "Error"
}

// marker is the file whose time of change is when the container was started.
func (r *Runtime) marker(id runtime.ContainerID) string { return r.pin(id.Pod, id.String()+".started") }

func (r *Runtime) started(id runtime.ContainerID) (time.Time, bool) {
	info, err := os.Stat(r.marker(id))
	if err != nil {
		return time.Time{}, false
	}
	return info.ModTime(), true
}
