package pod

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"optimist/agent/runtime"
	"optimist/internal/api"
)

// LogDir holds the logs of a pod's containers: <root>/logs/<namespace>_<name>_<uid>.
func LogDir(root string, key api.Key, uid types.UID) string {
	return filepath.Join(root, "logs", key.Namespace+"_"+key.Name+"_"+string(uid))
}

// LogPath is the file of one attempt: <container>/<attempt>.log in the pod's LogDir.
func LogPath(root string, key api.Key, id runtime.ContainerID) string {
	return filepath.Join(LogDir(root, key, id.Pod), id.Name, strconv.Itoa(id.Attempt)+".log")
}

func sandboxSpec(pod *corev1.Pod) runtime.SandboxSpec {
	return runtime.SandboxSpec{
		Pod: pod.UID, Namespace: pod.Namespace, Name: pod.Name,
		Hostname: hostname(pod), HostNetwork: pod.Spec.HostNetwork,
		Labels: map[string]string{labelRevision: api.RevisionOf(pod).String()},
		Limits: podLimits(pod),
	}
}

// hostname fits into the 63 bytes that a host's name may have.
func hostname(pod *corev1.Pod) string {
	name := pod.Spec.Hostname
	if name == "" {
		name = pod.Name
	}
	return name[:min(len(name), 63)]
}

// containerSpec resolves all that a container refers to.
func (h *Host) containerSpec(ctx context.Context, v View, s Step, image runtime.Image) (runtime.ContainerSpec, error) {
	c := containerNamed(v.Pod, s.Container)
	env, err := h.environment(ctx, v, c)
	if err != nil {
		return runtime.ContainerSpec{}, err
	}
	spec := runtime.ContainerSpec{
		ID: s.ID, Image: c.Image, ImageID: image.ID,
		Command: env.expandAll(c.Command), Args: env.expandAll(c.Args), WorkingDir: c.WorkingDir,
		Env: env.list(), Limits: limits(c.Resources), TTY: c.TTY, Stdin: c.Stdin,
		Labels:  map[string]string{labelStreak: strconv.Itoa(s.Streak)},
		LogPath: LogPath(h.Root, api.KeyOf(v.Pod), s.ID),
	}
	return spec, secure(&spec, v.Pod.Spec.SecurityContext, c.SecurityContext)
}

// secure takes over what of the security contexts the runtime knows; the container's goes before the pod's.
func secure(spec *runtime.ContainerSpec, pod *corev1.PodSecurityContext, own *corev1.SecurityContext) error {
	var user, group *int64
	var nonRoot *bool
	if pod != nil {
		user, group, nonRoot = pod.RunAsUser, pod.RunAsGroup, pod.RunAsNonRoot
	}
	if own != nil {
		user, group, nonRoot = first(own.RunAsUser, user), first(own.RunAsGroup, group), first(own.RunAsNonRoot, nonRoot)
		spec.Privileged = own.Privileged != nil && *own.Privileged
		spec.ReadOnlyRoot = own.ReadOnlyRootFilesystem != nil && *own.ReadOnlyRootFilesystem
	}
	if user != nil {
		spec.User = strconv.FormatInt(*user, 10)
		if group != nil {
			spec.User += ":" + strconv.FormatInt(*group, 10)
		}
		if *user == 0 && nonRoot != nil && *nonRoot {
			return fmt.Errorf("container's runAsUser breaks non-root policy (container: %s)", spec.ID.Name)
		}
	}
	return nil
}

func first[T any](a, b *T) *T {
	if a != nil {
		return a
	}
	return b
}

// Linux' cgroup settings, as Kubernetes derives them.
const (
	sharesPerCPU = 1024
	minShares    = 2
	period       = 100_000 // µs
	minQuota     = 1_000   // µs
)

func limits(r corev1.ResourceRequirements) runtime.Limits {
	cpu, limited := r.Requests[corev1.ResourceCPU]
	if !limited {
		cpu = r.Limits[corev1.ResourceCPU]
	}
	return cgroup(cpu.MilliValue(), r.Limits.Cpu().MilliValue(), r.Limits.Memory().Value())
}

func cgroup(request, limit, memory int64) runtime.Limits {
	l := runtime.Limits{CPUShares: uint64(max(request*sharesPerCPU/1000, minShares)), MemoryBytes: memory}
	if limit > 0 {
		l.CPUQuota = max(limit*period/1000, minQuota)
	}
	return l
}

// podLimits are the sums of the containers', where each has a limit; a pod's cgroup must also hold its largest init container.
func podLimits(pod *corev1.Pod) runtime.Limits {
	var request, limit, memory int64
	cpuLimited, memoryLimited := true, true
	for _, c := range pod.Spec.Containers {
		request += c.Resources.Requests.Cpu().MilliValue()
		limit += c.Resources.Limits.Cpu().MilliValue()
		memory += c.Resources.Limits.Memory().Value()
		cpuLimited = cpuLimited && !c.Resources.Limits.Cpu().IsZero()
		memoryLimited = memoryLimited && !c.Resources.Limits.Memory().IsZero()
	}
	for _, c := range pod.Spec.InitContainers {
		cpu, mem := c.Resources.Limits.Cpu().MilliValue(), c.Resources.Limits.Memory().Value()
		cpuLimited, memoryLimited = cpuLimited && cpu > 0, memoryLimited && mem > 0
		if c.RestartPolicy != nil { // a sidecar runs beside the others
			limit, memory = limit+cpu, memory+mem
		} else {
			limit, memory = max(limit, cpu), max(memory, mem)
		}
	}
	if !cpuLimited {
		limit = 0
	}
	if !memoryLimited {
		memory = 0
	}
	return cgroup(request, limit, memory)
}
