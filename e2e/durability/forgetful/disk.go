//go:build linux

package forgetful

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// Disk is mounted at Path. The process that serves it must not map its files: a page fault that waits for the very process stops it for good.
type Disk struct {
	Path string

	mu    sync.Mutex
	nodes map[uint64]*node // by inode number; 1 is the root
	left  int              // changes until the power fails; -1 = never by itself
	power *power

	refuses syscall.Errno // what changes are answered with; 0 = they are made

	server *fuse.Server
}

// power is on until it is cut, once.
type power struct {
	cut      chan struct{} // closed: nothing is done any more
	released chan struct{} // closed: who still waits for an answer gets an error
}

// node is a file or a folder.
type node struct {
	id      uint64
	folder  bool
	content content
	names   names
}

// New mounts an empty disk on an empty folder. It needs root and /dev/fuse.
func New(path string) (*Disk, error) {
	d := &Disk{Path: path, nodes: map[uint64]*node{}}
	d.make(true)
	return d, d.mount()
}

// make adds a node that has no name yet.
func (d *Disk) make(folder bool) *node {
	n := &node{id: uint64(len(d.nodes) + 1), folder: folder}
	if folder {
		n.names = newNames()
	}
	d.nodes[n.id] = n
	return n
}

func (d *Disk) mount() error {
	d.left = -1
	d.power = &power{make(chan struct{}), make(chan struct{})}
	server, err := fuse.NewServer(newKernel(d), d.Path, &fuse.MountOptions{FsName: "forgetful", Name: "forgetful",
		DirectMountStrict: true, ExplicitDataCacheControl: true, DisableXAttrs: true, MaxWrite: 1 << 20})
	if err != nil {
		return fmt.Errorf("mount a forgetful disk on %s: %w", d.Path, err)
	}
	d.server = server
	go server.Serve()
	return server.WaitMount()
}

// Cut is the loss of power: what comes later neither happens nor is answered.
func (d *Disk) Cut() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.cutLocked()
}

func (d *Disk) cutLocked() {
	select {
	case <-d.power.cut:
	default:
		close(d.power.cut)
	}
}

// CutAt cuts the power instead of the n-th change from now (a write, a sync, a new name …), counted from 0.
func (d *Disk) CutAt(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.left = n
}

// Refuse answers all changes with an error from now on, as a read-only disk does; with 0 it makes them again.
func (d *Disk) Refuse(why syscall.Errno) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.refuses = why
}

// Dark is closed when the power is cut.
func (d *Disk) Dark() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.power.cut
}

// Restore switches the power on again: what was not synced survives by chance. All that used the disk must have been sent a SIGKILL;
// it releases them and waits for their end.
func (d *Disk) Restore(random *rand.Rand) error {
	if err := d.Close(); err != nil {
		return err
	}
	d.forget(random)
	return d.mount()
}

// Revive is Restore after no more than a kill -9: nothing is lost, and nothing is synced by that.
func (d *Disk) Revive() error {
	if err := d.Close(); err != nil {
		return err
	}
	return d.mount()
}

func (d *Disk) forget(random *rand.Rand) {
	odds := []float64{0, 0.1, 0.5, 0.9, 1}
	p := odds[random.IntN(len(odds))]
	for id := uint64(1); id <= uint64(len(d.nodes)); id++ {
		n := d.nodes[id]
		n.content.lose(random, p)
		if n.folder {
			n.names.lose(random, p)
		}
	}
}

// Release ends the waiting of who has asked since the cut, with an error. A process that was sent a SIGKILL cannot end before.
func (d *Disk) Release() {
	d.mu.Lock()
	defer d.mu.Unlock()
	select {
	case <-d.power.released:
	default:
		close(d.power.released)
	}
}

// Close takes the disk away: whoever uses it gets errors.
func (d *Disk) Close() error {
	d.Cut()
	d.Release()
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
		err := syscall.Unmount(d.Path, 0) // busy until the kernel has cleaned up behind the last process
		if err == nil {
			break
		}
		if time.Now().After(end) {
			return fmt.Errorf("unmount %s: %w", d.Path, err)
		}
	}
	d.server.Wait()
	return nil
}

// Save copies what programs see, to a folder on a better disk.
func (d *Disk) Save(to string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return save(d.nodes[1], to)
}

func save(n *node, to string) error {
	if !n.folder {
		return os.WriteFile(to, n.content.now, 0o600)
	}
	err := os.MkdirAll(to, 0o700)
	for name, child := range n.names.now {
		err = errors.Join(err, save(child, filepath.Join(to, name)))
	}
	return err
}
