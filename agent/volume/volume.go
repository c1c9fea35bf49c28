package volume

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"optimist/internal/api"
)

// Volumes are those of all pods of a node. Of one pod only its worker mounts and unmounts.
type Volumes struct {
	Service api.Service                 // as this node
	Root    string                      // holds pods/; "" = no files
	Changed func(types.UID)             // told when what a pod has mounted has changed
	Spawn   func(func(context.Context)) // starts a goroutine that ends with the agent; nil = nothing is followed
	Log     *slog.Logger

	mu      sync.Mutex
	pods    map[types.UID]*pod
	sources map[source]*follower
}

// pod is what is known of a pod whose volumes have been asked for.
type pod struct {
	State
	seen   *corev1.Pod      // when it was last mounted
	tokens map[string]token // only its worker uses them
	refs   map[source]bool
}

// State is how the volumes of a pod stand.
type State struct {
	Mounted bool      // all have been, since the agent started
	Due     time.Time // when a token has to be renewed; zero = never
	Changed bool      // something that they are made of has changed since
	Exist   bool      // there is something to unmount
}

// Downward is the value of a file that tells of the pod itself.
type Downward func(corev1.DownwardAPIVolumeFile) (string, error)

// Look tells how a pod's volumes stand; p is nil when only its uid is known.
func (v *Volumes) Look(uid types.UID, p *corev1.Pod) State {
	if v == nil {
		return State{}
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	one := v.pods[uid]
	if one == nil {
		_, err := os.Stat(v.dir(uid))
		return State{Exist: v.Root != "" && err == nil}
	}
	s := one.State
	s.Exist = true
	if p != nil && one.seen != nil && !(maps.Equal(p.Labels, one.seen.Labels) && maps.Equal(p.Annotations, one.seen.Annotations)) {
		s.Changed = true
	}
	return s
}

// Mount makes each volume what it should be now. Every error is about one volume, and worded as Kubernetes' Events are.
func (v *Volumes) Mount(ctx context.Context, p *corev1.Pod, d Downward) (faults []error) {
	one := v.begin(p)
	if err := v.makePlace(p.UID); err != nil {
		return []error{err}
	}
	due := time.Time{}
	for i := range p.Spec.Volumes {
		again, err := v.mount(ctx, p, one, &p.Spec.Volumes[i], d)
		if err != nil {
			faults = append(faults, fmt.Errorf("MountVolume.SetUp failed for volume %q : %w", p.Spec.Volumes[i].Name, err))
		}
		if due.IsZero() || !again.IsZero() && again.Before(due) {
			due = again
		}
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if one.seen = p; len(faults) > 0 {
		due = time.Now() // it is still wanted
	}
	one.Mounted, one.Due = one.Mounted || len(faults) == 0, due
	return faults
}

// begin takes note of a pod: what changes from now on, this Mount may have missed.
func (v *Volumes) begin(p *corev1.Pod) *pod {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.pods == nil {
		v.pods, v.sources = map[types.UID]*pod{}, map[source]*follower{}
	}
	one := v.pods[p.UID]
	if one == nil {
		one = &pod{tokens: map[string]token{}, refs: map[source]bool{}}
		v.pods[p.UID] = one
	}
	one.Changed = false
	return one
}

func (v *Volumes) mount(ctx context.Context, p *corev1.Pod, one *pod, vol *corev1.Volume, d Downward) (again time.Time, err error) {
	projected, dir, group := projection(vol), v.path(p.UID, vol), fsGroup(p)
	switch empty := vol.EmptyDir; {
	case projected != nil:
		g := gathering{Volumes: v, pod: p, state: one, downward: d, mode: os.FileMode(*cmp.Or(projected.DefaultMode, new(int32(0o644))))}
		if err = g.all(ctx, projected.Sources); err == nil && v.Root != "" {
			err = makeDir(dir, vol.ConfigMap == nil, nil, group)
		}
		if err == nil && v.Root != "" {
			err = write(dir, g.files, group)
		}
		return g.again, err
	case empty != nil && !strings.HasPrefix(string(empty.Medium), string(corev1.StorageMediumHugePages)):
		if v.Root != "" {
			err = makeDir(dir, empty.Medium == corev1.StorageMediumMemory, empty.SizeLimit, group)
		}
		return again, err
	case vol.HostPath != nil:
		if v.Root != "" {
			err = checkHostPath(vol.HostPath)
		}
		return again, err
	}
	return again, errors.New("this version has no volumes of that kind: it has configMap, secret, downwardAPI, projected, emptyDir (also medium Memory) and hostPath")
}

// Unmount takes everything of a pod away.
func (v *Volumes) Unmount(uid types.UID) error {
	v.forget(uid)
	if v.Root == "" {
		return nil
	}
	subs, _ := filepath.Glob(filepath.Join(v.dir(uid), "subpaths", "*", "*"))
	volumes, _ := filepath.Glob(filepath.Join(v.dir(uid), "volumes", "*"))
	for _, path := range append(subs, volumes...) {
		if err := unmount(path); err != nil {
			return fmt.Errorf("unmount %s: %w", path, err)
		}
	}
	for _, path := range subs { // what is still bound to something holds its place: never remove through it
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return os.RemoveAll(v.dir(uid))
}

// Keep unmounts what belongs to no pod that is known: an agent was killed while it ended the pod, and the Pod has gone meanwhile.
func (v *Volumes) Keep(known func(types.UID) bool) error {
	var faults []error
	dirs, _ := filepath.Glob(v.dir("*"))
	for _, dir := range dirs {
		if uid := types.UID(filepath.Base(dir)); v.Root != "" && !known(uid) {
			faults = append(faults, v.Unmount(uid))
		}
	}
	return errors.Join(faults...)
}

func (v *Volumes) dir(uid types.UID) string { return filepath.Join(v.Root, "pods", string(uid)) }

// makePlace makes a pod's folder, into which nobody else on this machine may look: containers have their volumes by mounts.
func (v *Volumes) makePlace(uid types.UID) error {
	if v.Root == "" {
		return nil
	}
	err := os.MkdirAll(filepath.Dir(v.dir(uid)), 0o755)
	if err == nil {
		err = os.Mkdir(v.dir(uid), 0o700)
	}
	if errors.Is(err, fs.ErrExist) {
		err = nil
	}
	return err
}

// path is where a volume is on this machine.
func (v *Volumes) path(uid types.UID, vol *corev1.Volume) string {
	if vol.HostPath != nil {
		return vol.HostPath.Path
	}
	return filepath.Join(v.dir(uid), "volumes", vol.Name)
}

func fsGroup(p *corev1.Pod) *int64 {
	if s := p.Spec.SecurityContext; s != nil {
		return s.FSGroup
	}
	return nil
}
