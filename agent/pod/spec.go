package pod

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"path/filepath"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"optimist/agent/dns"
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

// sandboxSpec also returns what of the pod's resolv.conf had to be left out.
func (h *Host) sandboxSpec(pod *corev1.Pod) (spec runtime.SandboxSpec, omitted []string, err error) {
	spec = runtime.SandboxSpec{
		Pod: pod.UID, Namespace: pod.Namespace, Name: pod.Name, HostNetwork: pod.Spec.HostNetwork,
		Labels: map[string]string{labelRevision: api.RevisionOf(pod).String()},
	}
	if spec.Hostname, err = h.kernelName(pod); err == nil && h.DNS.IsValid() {
		spec.ResolvConf, omitted = resolvConf(pod, h.DNS, dns.ReadResolver(h.Resolv))
		spec.Hosts = hosts(pod, netip.Addr{})
	}
	return spec, omitted, err
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
		Env: env, Limits: limits(c.Resources), TTY: c.TTY, Stdin: c.Stdin,
		Labels:  map[string]string{labelStreak: strconv.Itoa(s.Streak)},
		LogPath: LogPath(h.Root, api.KeyOf(v.Pod), s.ID),
	}
	if spec.Mounts, err = h.Volumes.Mounts(v.Pod, c, env.expand); err != nil {
		return spec, err
	}
	return spec, secure(&spec, v.Pod.Spec.SecurityContext, c.SecurityContext)
}

// secure takes over what of the security contexts the runtime knows; the container's goes before the pod's.
func secure(spec *runtime.ContainerSpec, pod *corev1.PodSecurityContext, own *corev1.SecurityContext) error {
	pod, own = cmp.Or(pod, &corev1.PodSecurityContext{}), cmp.Or(own, &corev1.SecurityContext{})
	user, group := cmp.Or(own.RunAsUser, pod.RunAsUser), cmp.Or(own.RunAsGroup, pod.RunAsGroup)
	spec.Groups = pod.SupplementalGroups
	if pod.FSGroup != nil {
		spec.Groups = append([]int64{*pod.FSGroup}, spec.Groups...)
	}
	spec.Privileged, spec.ReadOnlyRoot = is(own.Privileged), is(own.ReadOnlyRootFilesystem)
	if user == nil {
		return nil
	}
	spec.User = strconv.FormatInt(*user, 10)
	if group != nil {
		spec.User += ":" + strconv.FormatInt(*group, 10)
	}
	if *user == 0 && is(cmp.Or(own.RunAsNonRoot, pod.RunAsNonRoot)) {
		return fmt.Errorf("container's runAsUser breaks non-root policy (container: %s)", spec.ID.Name)
	}
	return nil
}

// Linux' cgroup settings, as Kubernetes derives them.
const (
	sharesPerCPU = 1024
	minShares    = 2
	period       = 100_000 // µs
	minQuota     = 1_000   // µs
)

func limits(r corev1.ResourceRequirements) runtime.Limits {
	cpu, requested := r.Requests[corev1.ResourceCPU]
	if !requested {
		cpu = r.Limits[corev1.ResourceCPU]
	}
	l := runtime.Limits{CPUShares: uint64(max(cpu.MilliValue()*sharesPerCPU/1000, minShares)), MemoryBytes: r.Limits.Memory().Value()}
	if limit := r.Limits.Cpu().MilliValue(); limit > 0 {
		l.CPUQuota = max(limit*period/1000, minQuota)
	}
	return l
}

// taken is an error if another pod of this node has a host port that this one wants. Package proxy leads them to the pods that have an address.
func (h *Host) taken(p *corev1.Pod) error {
	for other := range h.Pods.List("", nil) {
		if port := api.Clash(api.HostPorts(p), other); port != "" && p.Status.PodIP == "" && other.UID != p.UID && other.Status.PodIP != "" && !api.Ended(other) {
			return fmt.Errorf("host port %s belongs to pod %s/%s on this node", port, other.Namespace, other.Name)
		}
	}
	return nil
}
