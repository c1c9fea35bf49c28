package containerd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/containerd/containerd/api/services/tasks/v1"
	"github.com/containerd/containerd/api/types/task"
	"github.com/containerd/containerd/v2/core/containers"
	"github.com/containerd/errdefs/pkg/errgrpc"
	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/types"

	"optimist/agent/runtime"
)

// State reads records, containers and tasks, settles exits nobody saw, and sweeps what belongs to no living sandbox.
func (r *Runtime) State(ctx context.Context) ([]runtime.Sandbox, error) {
	ctx = r.in(ctx)
	pods, err := r.sandboxes(ctx)
	if err != nil {
		return nil, err
	}
	found, err := r.containers(ctx)
	if err != nil {
		return nil, fmt.Errorf("list containers of containerd namespace %s: %w", r.cfg.Namespace, err)
	}
	var state []runtime.Sandbox
	for _, rec := range pods {
		box := r.describe(rec)
		box.Containers = found[rec.Spec.Pod]
		slices.SortFunc(box.Containers, byAge)
		delete(found, rec.Spec.Pod)
		state = append(state, box)
	}
	return state, r.sweep(ctx, found)
}

// byAge puts the oldest first, and what was never started last.
func byAge(a, b runtime.Container) int {
	if a.Started.IsZero() != b.Started.IsZero() {
		return -a.Started.Compare(b.Started)
	}
	return cmp.Or(a.Started.Compare(b.Started), cmp.Compare(a.ID.Name, b.ID.Name), cmp.Compare(a.ID.Attempt, b.ID.Attempt))
}

// sandboxes reads the folders; one without a good record is rubble of a killed agent, or of an earlier boot.
func (r *Runtime) sandboxes(ctx context.Context) ([]record, error) {
	dirs, err := os.ReadDir(filepath.Join(r.cfg.Root, "sandboxes"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var all []record
	for _, dir := range dirs {
		pod := types.UID(dir.Name())
		rec, err := r.load(pod)
		if errors.Is(err, fs.ErrNotExist) {
			rec, err = r.reload(pod)
		}
		if errors.Is(err, fs.ErrNotExist) {
			if err := r.RemoveSandbox(ctx, pod); err != nil {
				return nil, err
			}
			continue
		}
		if err != nil {
			return nil, err
		}
		all = append(all, rec)
	}
	return all, nil
}

// reload looks again under the pod's lock: the sandbox may just be in the making.
func (r *Runtime) reload(pod types.UID) (record, error) {
	defer r.locks.lock(string(pod))()
	return r.load(pod)
}

// containers returns all attempts by pod.
func (r *Runtime) containers(ctx context.Context) (map[types.UID][]runtime.Container, error) {
	listed, err := r.client.ContainerService().List(ctx, fmt.Sprintf("labels.%q", labelPod))
	if err != nil {
		return nil, err
	}
	processes, err := r.processes(ctx)
	if err != nil {
		return nil, err
	}
	all := make([]runtime.Container, len(listed))
	var group errgroup.Group
	group.SetLimit(4)
	for i, info := range listed {
		group.Go(func() (err error) {
			all[i], err = r.inspect(ctx, info, processes[info.ID])
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	byPod := map[types.UID][]runtime.Container{}
	for _, c := range all {
		if c.ID.Pod != "" {
			byPod[c.ID.Pod] = append(byPod[c.ID.Pod], c)
		}
	}
	return byPod, nil
}

func (r *Runtime) processes(ctx context.Context) (map[string]*task.Process, error) {
	list, err := r.client.TaskService().List(ctx, &tasks.ListTasksRequest{})
	if err != nil {
		return nil, errgrpc.ToNative(err)
	}
	byID := map[string]*task.Process{}
	for _, p := range list.Tasks {
		byID[p.ID] = p
	}
	return byID, nil
}

// inspect joins container and process; where they do not fit a living container, settle finds out what happened.
func (r *Runtime) inspect(ctx context.Context, info containers.Container, p *task.Process) (runtime.Container, error) {
	id, ok := parseID(info.ID)
	if !ok {
		return runtime.Container{}, nil
	}
	c := fromLabels(id, info.Labels)
	started, wasStarted := r.started(id)
	switch {
	case p != nil && (p.Status == task.Status_RUNNING || p.Status == task.Status_PAUSED || p.Status == task.Status_PAUSING):
		c.Phase, c.PID, c.Started = runtime.Running, int(p.Pid), started
	case p == nil && c.Phase == runtime.Created && wasStarted, p != nil && p.Status == task.Status_STOPPED:
		return r.settled(ctx, id)
	}
	return c, nil
}

func (r *Runtime) settled(ctx context.Context, id runtime.ContainerID) (runtime.Container, error) {
	if err := r.settle(ctx, id); err != nil {
		return runtime.Container{}, err
	}
	info, err := r.client.ContainerService().Get(ctx, id.String())
	if err != nil {
		return runtime.Container{}, err
	}
	c := fromLabels(id, info.Labels)
	if c.Phase == runtime.Created { // started between our two looks
		c.Phase = runtime.Running
		c.Started, _ = r.started(id)
	}
	return c, nil
}

// sweep removes containers whose sandbox is gone (with a tmpfs, a reboot takes the records but not containerd's metadata).
func (r *Runtime) sweep(ctx context.Context, orphans map[types.UID][]runtime.Container) error {
	for pod := range orphans {
		if _, err := r.reload(pod); err == nil {
			continue // made since we looked
		}
		if err := r.RemoveSandbox(ctx, pod); err != nil {
			return err
		}
	}
	return nil
}
