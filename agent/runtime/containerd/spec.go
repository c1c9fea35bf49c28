package containerd

import (
	"cmp"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/containers"
	"github.com/containerd/containerd/v2/pkg/oci"
	"github.com/opencontainers/runtime-spec/specs-go"

	"optimist/agent/runtime"
)

// specOptions is the OCI specification of a container, each option a paragraph of it. Those of the image come first, the pod's win.
func (r *Runtime) specOptions(box record, image client.Image, spec runtime.ContainerSpec) []oci.SpecOpts {
	options := []oci.SpecOpts{
		oci.WithImageConfigArgs(image, spec.Args),
		withCommand(spec),
		oci.WithEnv(append([]string{"HOSTNAME=" + box.Spec.Hostname}, spec.Env...)),
		r.withMounts(spec),
		oci.WithCgroup(r.cgroupOf(spec.ID)),
		oci.WithNewPrivileges, // as Kubernetes: allowed unless the pod forbids it
		withoutRlimits,
	}
	for kind, pin := range map[specs.LinuxNamespaceType]string{specs.NetworkNamespace: "net", specs.IPCNamespace: "ipc", specs.UTSNamespace: "uts"} {
		options = append(options, oci.WithLinuxNamespace(specs.LinuxNamespace{Type: kind, Path: r.pin(spec.ID.Pod, pin)}))
	}
	for _, o := range []struct {
		wanted bool
		option oci.SpecOpts
	}{
		{spec.WorkingDir != "", oci.WithProcessCwd(spec.WorkingDir)},
		{spec.User != "", oci.WithUser(spec.User)},
		{len(spec.Groups) > 0, withGroups(spec.Groups)},
		{spec.ReadOnlyRoot, oci.WithRootFSReadonly()},
		{spec.TTY, oci.WithTTY},
		{spec.Limits.CPUShares > 0, oci.WithCPUShares(spec.Limits.CPUShares)},
		{spec.Limits.CPUQuota > 0, oci.WithCPUCFS(spec.Limits.CPUQuota, cpuPeriod)},
		{spec.Limits.MemoryBytes > 0, oci.WithMemoryLimit(uint64(spec.Limits.MemoryBytes))},
		{spec.Privileged, oci.Compose(oci.WithPrivileged, oci.WithHostDevices, oci.WithAllDevicesAllowed)},
	} {
		if o.wanted {
			options = append(options, o.option)
		}
	}
	return options
}

// withCommand is Kubernetes' rule: command replaces entrypoint and cmd, args alone replace cmd only.
func withCommand(spec runtime.ContainerSpec) oci.SpecOpts {
	return func(_ context.Context, _ oci.Client, _ *containers.Container, s *oci.Spec) error {
		if len(spec.Command) > 0 {
			s.Process.Args = slices.Concat(spec.Command, spec.Args)
		}
		if len(s.Process.Args) == 0 {
			return errors.New("no command: neither the pod nor the image names one; set the container's command")
		}
		return nil
	}
}

// withGroups adds to the groups that the image gives the user.
func withGroups(groups []int64) oci.SpecOpts {
	return func(_ context.Context, _ oci.Client, _ *containers.Container, s *oci.Spec) error {
		for _, g := range groups {
			s.Process.User.AdditionalGids = append(s.Process.User.AdditionalGids, uint32(g))
		}
		return nil
	}
}

// withMounts binds the sandbox's own files and the pod's volumes; a volume hides whatever would be at the same place, and what
// lies deeper is mounted later.
func (r *Runtime) withMounts(spec runtime.ContainerSpec) oci.SpecOpts {
	all := slices.Clone(spec.Mounts)
	for file, at := range map[string]string{"shm": "/dev/shm", "hosts": "/etc/hosts", "hostname": "/etc/hostname", "resolv.conf": "/etc/resolv.conf"} {
		if !slices.ContainsFunc(spec.Mounts, func(m runtime.Mount) bool { return filepath.Clean(m.Container) == at }) {
			all = append(all, runtime.Mount{Host: r.pin(spec.ID.Pod, file), Container: at})
		}
	}
	slices.SortStableFunc(all, func(a, b runtime.Mount) int { return cmp.Compare(depth(a), depth(b)) })

	hidden := []string{"/run"} // containerd's default tmpfs would hide the image's own
	var mounts []specs.Mount
	for _, m := range all {
		access := "rw"
		if m.ReadOnly {
			access = "ro"
		}
		hidden = append(hidden, filepath.Clean(m.Container))
		mounts = append(mounts, specs.Mount{Type: "bind", Source: m.Host, Destination: m.Container, Options: []string{"rbind", "rprivate", access}})
	}
	return oci.Compose(oci.WithoutMounts(hidden...), oci.WithMounts(mounts))
}

func depth(m runtime.Mount) int { return strings.Count(filepath.Clean(m.Container), "/") }

// withoutRlimits leaves containerd's own limits in place: its default of 1024 files is too few for servers.
func withoutRlimits(_ context.Context, _ oci.Client, _ *containers.Container, s *oci.Spec) error {
	s.Process.Rlimits = nil
	return nil
}

const (
	cgroupMount = "/sys/fs/cgroup"
	cpuPeriod   = 100_000 // µs, Kubernetes' 100 ms
)

// cgroupOf is a container's cgroup, below the node's, as seen from the mount. runc makes and removes it and writes the limits; version 1 has
// one such tree for each controller, version 2 a single one.
func (r *Runtime) cgroupOf(id runtime.ContainerID) string {
	return filepath.Join(r.cfg.CgroupRoot, id.String())
}

// oomKills counts the processes of a container that the kernel killed for want of memory; 0 when the cgroup is gone.
func (r *Runtime) oomKills(id runtime.ContainerID) int {
	text, err := os.ReadFile(filepath.Join(cgroupMount, "memory", r.cgroupOf(id), "memory.oom_control"))
	if err != nil {
		text, _ = os.ReadFile(filepath.Join(cgroupMount, r.cgroupOf(id), "memory.events")) // version 2
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, "oom_kill "); ok {
			n, _ := strconv.Atoi(strings.TrimSpace(value))
			return n
		}
	}
	return 0
}

// removeCgroup removes the node's cgroup, in every tree, with its last container. While others are in it the kernel refuses; while one is
// being started we do not try.
func (r *Runtime) removeCgroup() {
	if !r.cgroup.TryLock() {
		return
	}
	defer r.cgroup.Unlock()
	trees, _ := filepath.Glob(filepath.Join(cgroupMount, "*", r.cfg.CgroupRoot))
	for _, path := range append(trees, filepath.Join(cgroupMount, r.cfg.CgroupRoot)) {
		_ = os.Remove(path)
	}
}
