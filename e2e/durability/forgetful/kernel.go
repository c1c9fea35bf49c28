//go:build linux

package forgetful

import (
	"maps"
	"slices"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// kernel answers the kernel's questions about a disk. Nobody else changes the disk, so that all answers stay true.
type kernel struct {
	fuse.RawFileSystem // ENOSYS for the rest
	disk               *Disk
	power              *power // of this mount
}

func newKernel(d *Disk) *kernel { return &kernel{fuse.NewDefaultRawFileSystem(), d, d.power} }

const hour = 3600

// do runs f on a node while the power is on, and waits for the end of the world otherwise.
func (k *kernel) do(id uint64, f func(*node) fuse.Status) fuse.Status {
	k.disk.mu.Lock()
	select {
	case <-k.power.cut:
		k.disk.mu.Unlock()
		<-k.power.released
		return fuse.EIO
	default:
	}
	defer k.disk.mu.Unlock()
	n := k.disk.nodes[id]
	if n == nil {
		return fuse.Status(syscall.ESTALE)
	}
	return f(n)
}

// change is do for what changes the disk.
func (k *kernel) change(id uint64, f func(*node) fuse.Status) fuse.Status {
	return k.sync(id, func(n *node) fuse.Status {
		if k.disk.refuses != 0 {
			return fuse.Status(k.disk.refuses)
		}
		return f(n)
	})
}

// sync is change that is never refused: it needs no room.
func (k *kernel) sync(id uint64, f func(*node) fuse.Status) fuse.Status {
	k.disk.mu.Lock()
	if k.disk.left == 0 {
		k.disk.cutLocked()
	}
	if k.disk.left > 0 {
		k.disk.left--
	}
	k.disk.mu.Unlock()
	return k.do(id, f)
}

func describe(n *node, a *fuse.Attr) {
	*a = fuse.Attr{Ino: n.id, Mode: syscall.S_IFREG | 0o600, Nlink: 1, Size: uint64(len(n.content.now)), Blksize: 4096}
	if n.folder {
		a.Mode = syscall.S_IFDIR | 0o700
	}
}

func enter(n *node, out *fuse.EntryOut) {
	out.NodeId, out.Generation, out.EntryValid, out.AttrValid = n.id, 1, hour, hour
	describe(n, &out.Attr)
}

func (k *kernel) Lookup(_ <-chan struct{}, h *fuse.InHeader, name string, out *fuse.EntryOut) fuse.Status {
	return k.do(h.NodeId, func(n *node) fuse.Status {
		child := n.names.now[name]
		if child == nil {
			return fuse.ENOENT
		}
		enter(child, out)
		return fuse.OK
	})
}

func (k *kernel) GetAttr(_ <-chan struct{}, in *fuse.GetAttrIn, out *fuse.AttrOut) fuse.Status {
	return k.do(in.NodeId, func(n *node) fuse.Status {
		out.AttrValid = hour
		describe(n, &out.Attr)
		return fuse.OK
	})
}

func (k *kernel) SetAttr(_ <-chan struct{}, in *fuse.SetAttrIn, out *fuse.AttrOut) fuse.Status {
	return k.change(in.NodeId, func(n *node) fuse.Status {
		if size, ok := in.GetSize(); ok {
			n.content.resize(int(size))
		}
		out.AttrValid = hour
		describe(n, &out.Attr)
		return fuse.OK
	})
}

// add makes a new file or folder under a name.
func (k *kernel) add(parent uint64, name string, folder bool, out *fuse.EntryOut) fuse.Status {
	return k.change(parent, func(n *node) fuse.Status {
		child := k.disk.make(folder)
		n.names.set(name, child)
		enter(child, out)
		return fuse.OK
	})
}

func (k *kernel) Create(_ <-chan struct{}, in *fuse.CreateIn, name string, out *fuse.CreateOut) fuse.Status {
	return k.add(in.NodeId, name, false, &out.EntryOut)
}

func (k *kernel) Mkdir(_ <-chan struct{}, in *fuse.MkdirIn, name string, out *fuse.EntryOut) fuse.Status {
	return k.add(in.NodeId, name, true, out)
}

func (k *kernel) Link(_ <-chan struct{}, in *fuse.LinkIn, name string, out *fuse.EntryOut) fuse.Status {
	return k.change(in.NodeId, func(n *node) fuse.Status {
		if n.names.now[name] != nil {
			return fuse.Status(syscall.EEXIST)
		}
		linked := k.disk.nodes[in.Oldnodeid]
		n.names.set(name, linked)
		enter(linked, out)
		return fuse.OK
	})
}

func (k *kernel) Rename(_ <-chan struct{}, in *fuse.RenameIn, old, name string) fuse.Status {
	if in.Flags != 0 {
		return fuse.EINVAL
	}
	return k.change(in.NodeId, func(n *node) fuse.Status {
		moved := n.names.now[old]
		n.names.set(old, nil)
		k.disk.nodes[in.Newdir].names.set(name, moved)
		return fuse.OK
	})
}

func (k *kernel) Unlink(_ <-chan struct{}, h *fuse.InHeader, name string) fuse.Status {
	return k.change(h.NodeId, func(n *node) fuse.Status {
		n.names.set(name, nil)
		return fuse.OK
	})
}

func (k *kernel) Rmdir(c <-chan struct{}, h *fuse.InHeader, name string) fuse.Status {
	return k.Unlink(c, h, name)
}

func (k *kernel) Open(_ <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	out.OpenFlags = fuse.FOPEN_KEEP_CACHE
	return fuse.OK
}

func (k *kernel) Read(_ <-chan struct{}, in *fuse.ReadIn, buf []byte) (r fuse.ReadResult, s fuse.Status) {
	s = k.do(in.NodeId, func(n *node) fuse.Status {
		from := min(int(in.Offset), len(n.content.now))
		r = fuse.ReadResultData(buf[:copy(buf, n.content.now[from:])])
		return fuse.OK
	})
	return r, s
}

func (k *kernel) Write(_ <-chan struct{}, in *fuse.WriteIn, data []byte) (uint32, fuse.Status) {
	return uint32(len(data)), k.change(in.NodeId, func(n *node) fuse.Status {
		n.content.write(int(in.Offset), data)
		return fuse.OK
	})
}

func (k *kernel) Fsync(_ <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	return k.sync(in.NodeId, func(n *node) fuse.Status {
		n.content.sync()
		return fuse.OK
	})
}

func (k *kernel) FsyncDir(_ <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	return k.sync(in.NodeId, func(n *node) fuse.Status {
		n.names.sync()
		return fuse.OK
	})
}

func (k *kernel) OpenDir(<-chan struct{}, *fuse.OpenIn, *fuse.OpenOut) fuse.Status { return fuse.OK }

func (k *kernel) ReadDir(_ <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	return k.do(in.NodeId, func(n *node) fuse.Status {
		at := uint64(0)
		for _, name := range slices.Sorted(maps.Keys(n.names.now)) {
			if at++; at <= in.Offset {
				continue
			}
			child := n.names.now[name]
			var a fuse.Attr
			describe(child, &a)
			if !out.AddDirEntry(fuse.DirEntry{Name: name, Ino: child.id, Mode: a.Mode, Off: at}) {
				break
			}
		}
		return fuse.OK
	})
}
