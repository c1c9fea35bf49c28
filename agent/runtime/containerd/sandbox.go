package containerd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
	"k8s.io/apimachinery/pkg/types"

	"optimist/agent/runtime"
)

// record is what a sandbox's folder remembers, in sandbox.json.
type record struct {
	Spec    runtime.SandboxSpec
	Address netip.Addr
	Created time.Time
	Boot    string // the kernel's boot id: namespaces do not survive it
}

func (r *Runtime) dir(pod types.UID) string {
	return filepath.Join(r.cfg.Root, "sandboxes", string(pod))
}

func (r *Runtime) pin(pod types.UID, namespace string) string {
	return filepath.Join(r.dir(pod), namespace)
}

// StartSandbox finds the pod's sandbox, or clears what is left of one and makes it. The record is written last: without it there is
// no sandbox, only rubble.
func (r *Runtime) StartSandbox(_ context.Context, spec runtime.SandboxSpec) (runtime.Sandbox, error) {
	defer r.pods.lock(string(spec.Pod))()
	if rec, err := r.load(spec.Pod); err == nil {
		return r.describe(rec), nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return runtime.Sandbox{}, err
	}
	if err := r.clear(spec.Pod); err != nil {
		return runtime.Sandbox{}, err
	}
	rec := record{Spec: spec, Created: time.Now().UTC(), Boot: bootID()}
	if err := r.build(rec); err != nil {
		return runtime.Sandbox{}, errors.Join(fmt.Errorf("sandbox of pod %s/%s: %w", spec.Namespace, spec.Name, err), r.clear(spec.Pod))
	}
	return r.describe(rec), nil
}

func (r *Runtime) build(rec record) error {
	spec, dir := rec.Spec, r.dir(rec.Spec.Pod)
	if err := os.MkdirAll(filepath.Join(dir, "shm"), 0o711); err != nil {
		return err
	}
	if err := pinNamespaces(dir, spec.Hostname, spec.HostNetwork); err != nil {
		return err
	}
	if err := unix.Mount("shm", filepath.Join(dir, "shm"), "tmpfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "mode=1777,size=64m"); err != nil {
		return fmt.Errorf("mount the pod's /dev/shm: %w", err)
	}
	return r.save(rec)
}

// clear removes everything but the containers. It is idempotent.
func (r *Runtime) clear(pod types.UID) error {
	r.removeCgroup()
	if err := unpin(r.dir(pod)); err != nil {
		return err
	}
	return os.RemoveAll(r.dir(pod))
}

// load reads the record of a living sandbox; fs.ErrNotExist means that there is none, or that a reboot ended it.
func (r *Runtime) load(pod types.UID) (record, error) {
	var rec record
	data, err := os.ReadFile(filepath.Join(r.dir(pod), "sandbox.json"))
	if err != nil {
		return rec, err
	}
	if err := json.Unmarshal(data, &rec); err != nil || rec.Boot != bootID() || !pinned(r.dir(pod)) {
		return rec, fmt.Errorf("sandbox %s is of an earlier boot or damaged: %w", pod, fs.ErrNotExist)
	}
	return rec, nil
}

// save writes the record, after the files that containers see.
func (r *Runtime) save(rec record) error {
	if err := r.writeFiles(rec); err != nil {
		return err
	}
	data, err := json.Marshal(rec)
	if err != nil {
		return err
	}
	path := filepath.Join(r.dir(rec.Spec.Pod), "sandbox.json")
	if err := os.WriteFile(path+".new", data, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

func (r *Runtime) describe(rec record) runtime.Sandbox {
	s := runtime.Sandbox{SandboxSpec: rec.Spec, Address: rec.Address, Created: rec.Created}
	if !rec.Spec.HostNetwork {
		s.NetNS = r.pin(rec.Spec.Pod, "net")
	}
	return s
}

// SetAddress remembers the address and /etc/hosts.
func (r *Runtime) SetAddress(_ context.Context, pod types.UID, a netip.Addr, hosts string) error {
	defer r.pods.lock(string(pod))()
	rec, err := r.load(pod)
	if err != nil {
		return fmt.Errorf("address of sandbox %s: %w", pod, runtime.ErrNotFound)
	}
	rec.Address, rec.Spec.Hosts = a, hosts
	return r.save(rec)
}

// RemoveSandbox kills and removes what is left of the pod's containers, then its ground.
func (r *Runtime) RemoveSandbox(ctx context.Context, pod types.UID) error {
	defer r.pods.lock(string(pod))()
	return r.remove(r.in(ctx), pod)
}

func (r *Runtime) remove(ctx context.Context, pod types.UID) error {
	all, err := r.client.ContainerService().List(ctx, ofPod(pod))
	if err != nil {
		return err
	}
	var group errgroup.Group
	group.SetLimit(4) // more do not go faster
	for _, c := range all {
		group.Go(func() error {
			id, _ := parseID(c.ID)
			defer r.containers.lock(c.ID)()
			return r.delete(ctx, id)
		})
	}
	if err := group.Wait(); err != nil {
		return fmt.Errorf("sandbox %s: %w", pod, err)
	}
	return r.clear(pod)
}

// writeFiles writes in place, because running containers have these very files mounted.
func (r *Runtime) writeFiles(rec record) error {
	for name, text := range map[string]string{"hosts": rec.Spec.Hosts, "hostname": rec.Spec.Hostname + "\n", "resolv.conf": rec.Spec.ResolvConf} {
		if err := os.WriteFile(filepath.Join(r.dir(rec.Spec.Pod), name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func bootID() string {
	id, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(id))
}
