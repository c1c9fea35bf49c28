package volume

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"optimist/agent/runtime"
)

// Mounts are what a container sees of its pod's volumes; expand replaces its variables in a subPathExpr.
func (v *Volumes) Mounts(p *corev1.Pod, c *corev1.Container, expand func(string) string) (all []runtime.Mount, err error) {
	for i, m := range c.VolumeMounts {
		vol := named(p, m.Name)
		if vol == nil {
			return nil, fmt.Errorf("the pod has no volume %q", m.Name) // the registry lets none through
		}
		at := runtime.Mount{Host: v.path(p.UID, vol), Container: m.MountPath, ReadOnly: m.ReadOnly || projection(vol) != nil}
		sub := m.SubPath
		if m.SubPathExpr != "" {
			sub = expand(m.SubPathExpr)
		}
		if sub != "" && v.Root != "" {
			place := filepath.Join(v.dir(p.UID), "subpaths", c.Name, strconv.Itoa(i))
			if err := hold(at.Host, sub, place); err != nil {
				return nil, fmt.Errorf("failed to prepare subPath for volumeMount %q of container %q: %w", m.Name, c.Name, err)
			}
			at.Host = place
		}
		all = append(all, at)
	}
	return all, nil
}

func named(p *corev1.Pod, name string) *corev1.Volume {
	for i := range p.Spec.Volumes {
		if p.Spec.Volumes[i].Name == name {
			return &p.Spec.Volumes[i]
		}
	}
	return nil
}

// hold binds a part of a volume to a place of ours. It is opened from the volume on, never out of it, and then bound as opened: a link that some
// container puts there meanwhile leads nowhere.
func hold(volume, sub, place string) error {
	if !filepath.IsLocal(sub) {
		return fmt.Errorf("%q must stay inside of the volume", sub)
	}
	if err := unmount(place); err != nil {
		return err
	}
	root, err := os.OpenRoot(volume)
	if err != nil {
		return err
	}
	defer root.Close()
	if _, err := root.Stat(sub); errors.Is(err, fs.ErrNotExist) {
		whole, err := root.Stat(".")
		if err == nil {
			err = root.MkdirAll(sub, 0o755)
		}
		if err == nil { // who may write in the volume may in its part
			err = root.Chmod(sub, whole.Mode())
		}
		if err != nil {
			return err
		}
	}
	f, err := root.OpenFile(sub, os.O_RDONLY|nonblock, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if err := standIn(place, info.IsDir()); err != nil {
		return err
	}
	return bind(f, place)
}

// standIn makes an empty folder or file for something to be bound to, in place of the one before.
func standIn(place string, dir bool) error {
	if err := os.Remove(place); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if dir {
		return os.MkdirAll(place, 0o755)
	}
	if err := os.MkdirAll(filepath.Dir(place), 0o755); err != nil {
		return err
	}
	return os.WriteFile(place, nil, 0o600)
}

// makeDir makes a volume's folder, where everybody may write, and if asked for a tmpfs on it of at most size (nil: as large as the kernel likes).
func makeDir(dir string, memory bool, size *resource.Quantity, group *int64) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if memory && !mounted(dir) {
		var bytes int64
		if size != nil {
			bytes = size.Value()
		}
		if err := mountMemory(dir, bytes); err != nil {
			return fmt.Errorf("mount a tmpfs: %w", err)
		}
	}
	return share(dir, 0o777, group)
}

// hostTypes are what may be found at a hostPath, and what is made if nothing is.
var hostTypes = map[corev1.HostPathType]struct {
	words string
	is    func(fs.FileMode) bool // nil = anything
	make  func(string) error     // nil = nothing
}{
	corev1.HostPathUnset:             {make: makeFolder},
	corev1.HostPathDirectoryOrCreate: {"a directory", fs.FileMode.IsDir, makeFolder},
	corev1.HostPathDirectory:         {"a directory", fs.FileMode.IsDir, nil},
	corev1.HostPathFileOrCreate:      {"a file", fs.FileMode.IsRegular, makeFile},
	corev1.HostPathFile:              {"a file", fs.FileMode.IsRegular, nil},
	corev1.HostPathSocket:            {"a socket file", ofType(fs.ModeSocket), nil},
	corev1.HostPathCharDev:           {"a character device", ofType(fs.ModeDevice | fs.ModeCharDevice), nil},
	corev1.HostPathBlockDev:          {"a block device", ofType(fs.ModeDevice), nil},
}

func ofType(t fs.FileMode) func(fs.FileMode) bool {
	return func(m fs.FileMode) bool { return m.Type() == t }
}

func makeFolder(path string) error { return os.MkdirAll(path, 0o755) }

func makeFile(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	return f.Close()
}

// checkHostPath makes sure that a path of the machine is what the pod expects of it.
func checkHostPath(h *corev1.HostPathVolumeSource) error {
	t := hostTypes[corev1.HostPathUnset]
	if h.Type != nil {
		t = hostTypes[*h.Type]
	}
	info, err := os.Stat(h.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && t.make != nil:
		return t.make(h.Path)
	case t.is == nil:
		return err
	case err != nil || !t.is(info.Mode()):
		return fmt.Errorf("hostPath type check failed: %s is not %s", h.Path, t.words)
	}
	return nil
}
