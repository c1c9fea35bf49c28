package containerd

import (
	"cmp"
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"

	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/contrib/seccomp"
	"github.com/containerd/containerd/v2/core/containers"
	"github.com/containerd/containerd/v2/pkg/oci"
	"github.com/containerd/errdefs"
	"github.com/opencontainers/runtime-spec/specs-go"

	"optimist/agent/runtime"
)

// specOptions is the OCI specification of a container, each option a paragraph of it. Those of the image come first, the pod's win.
func (r *Runtime) specOptions(box record, image client.Image, spec runtime.ContainerSpec) []oci.SpecOpts {
	options := []oci.SpecOpts{
		oci.WithImageConfigArgs(image, spec.Args),
		withCommand(spec),
		oci.WithEnv(append([]string{"HOSTNAME=" + box.Spec.Hostname}, spec.Env...)),
		r.withNamespaces(spec.ID),
		r.withMounts(spec),
		withLimits(spec.Limits),
		oci.WithCgroup(r.cgroups.container(spec.ID)),
		oci.WithNewPrivileges, // as Kubernetes: allowed unless the pod forbids it
		withoutRlimits,
	}
	if spec.WorkingDir != "" {
		options = append(options, oci.WithProcessCwd(spec.WorkingDir))
	}
	if spec.User != "" {
		options = append(options, oci.WithUser(spec.User))
	}
	if spec.ReadOnlyRoot {
		options = append(options, oci.WithRootFSReadonly())
	}
	if spec.TTY {
		options = append(options, oci.WithTTY)
	}
	if spec.Privileged {
		return append(options, oci.WithPrivileged, oci.WithHostDevices, oci.WithAllDevicesAllowed)
	}
	if r.cfg.Seccomp {
		options = append(options, seccomp.WithDefaultProfile())
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

func (r *Runtime) withNamespaces(id runtime.ContainerID) oci.SpecOpts {
	var all []oci.SpecOpts
	for kind, pin := range map[specs.LinuxNamespaceType]string{specs.NetworkNamespace: "net", specs.IPCNamespace: "ipc", specs.UTSNamespace: "uts"} {
		all = append(all, oci.WithLinuxNamespace(specs.LinuxNamespace{Type: kind, Path: r.pin(id.Pod, pin)}))
	}
	return oci.Compose(all...)
}

// withMounts binds the sandbox's own files and the pod's volumes; a volume hides whatever would be at the same place, and what
// lies deeper is mounted later.
func (r *Runtime) withMounts(spec runtime.ContainerSpec) oci.SpecOpts {
	all := []runtime.Mount{
		{Host: r.pin(spec.ID.Pod, "shm"), Container: "/dev/shm"},
		{Host: r.pin(spec.ID.Pod, "hosts"), Container: "/etc/hosts"},
		{Host: r.pin(spec.ID.Pod, "hostname"), Container: "/etc/hostname"},
		{Host: r.pin(spec.ID.Pod, "resolv.conf"), Container: "/etc/resolv.conf"},
	}
	all = slices.DeleteFunc(all, func(own runtime.Mount) bool {
		return slices.ContainsFunc(spec.Mounts, func(m runtime.Mount) bool { return filepath.Clean(m.Container) == own.Container })
	})
	all = append(all, spec.Mounts...)
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

func withLimits(l runtime.Limits) oci.SpecOpts {
	var all []oci.SpecOpts
	if l.CPUShares > 0 {
		all = append(all, oci.WithCPUShares(l.CPUShares))
	}
	if l.CPUQuota > 0 {
		all = append(all, oci.WithCPUCFS(l.CPUQuota, cpuPeriod))
	}
	if l.MemoryBytes > 0 {
		all = append(all, oci.WithMemoryLimit(uint64(l.MemoryBytes)))
	}
	return oci.Compose(all...)
}

// withoutRlimits leaves containerd's own limits in place: its default of 1024 files is too few for servers.
func withoutRlimits(_ context.Context, _ oci.Client, _ *containers.Container, s *oci.Spec) error {
	s.Process.Rlimits = nil
	return nil
}

// withFreshSnapshot replaces what a start that was interrupted left under the same name.
func (r *Runtime) withFreshSnapshot(id string, image client.Image) client.NewContainerOpts {
	prepare := client.WithNewSnapshot(id, image)
	return func(ctx context.Context, cl *client.Client, c *containers.Container) error {
		err := prepare(ctx, cl, c)
		if !errdefs.IsAlreadyExists(err) {
			return err
		}
		if err := cl.SnapshotService(c.Snapshotter).Remove(ctx, id); err != nil && !errdefs.IsNotFound(err) {
			return err
		}
		return prepare(ctx, cl, c)
	}
}
