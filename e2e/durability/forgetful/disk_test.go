//go:build linux

package forgetful

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

func disk(t *testing.T) *Disk {
	t.Helper()
	if err := unix.Access("/dev/fuse", unix.R_OK|unix.W_OK); err != nil || os.Getuid() != 0 {
		t.Skipf("SKIPPED: a forgetful disk needs root and /dev/fuse (%v)", err)
	}
	d, err := New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

func (d *Disk) path(name string) string { return filepath.Join(d.Path, name) }

func syncPath(t *testing.T, path string) {
	t.Helper()
	f, err := os.Open(path)
	if err == nil {
		err = errors.Join(f.Sync(), f.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Everything may happen to what was not synced, and everything does; nothing ever happens to what was.
func TestWhatMaySurvive(t *testing.T) {
	const pages = 8 << 10
	old, young := bytes.Repeat([]byte{'o'}, pages), bytes.Repeat([]byte{'y'}, 2*pages)
	for _, row := range []struct {
		name string
		do   func(t *testing.T, d *Disk)
		want map[string]bool // what is left, and whether it must have been seen
	}{
		{"a file that is synced with its folder", func(t *testing.T, d *Disk) {
			must(t, os.WriteFile(d.path("a"), old, 0o600))
			syncPath(t, d.path("a"))
			syncPath(t, d.Path)
		}, map[string]bool{"a=old": true}},
		{"a file whose folder is not synced", func(t *testing.T, d *Disk) {
			must(t, os.WriteFile(d.path("a"), old, 0o600))
			syncPath(t, d.path("a"))
		}, map[string]bool{"a=old": true, "": true}},
		{"a folder that is synced, without its file", func(t *testing.T, d *Disk) {
			must(t, os.WriteFile(d.path("a"), old, 0o600))
			syncPath(t, d.Path)
		}, map[string]bool{"a=old": true, "a=empty": true, "a=zeros": false, "a=mixed": true}},
		{"a file that is written over", func(t *testing.T, d *Disk) {
			must(t, os.WriteFile(d.path("a"), old, 0o600))
			syncPath(t, d.path("a"))
			syncPath(t, d.Path)
			f, err := os.OpenFile(d.path("a"), os.O_RDWR, 0)
			must(t, err)
			_, err = f.WriteAt(young[:pages], 0)
			must(t, errors.Join(err, f.Close()))
		}, map[string]bool{"a=old": true, "a=young": true, "a=mixed": true}},
		{"a rename", func(t *testing.T, d *Disk) {
			must(t, os.WriteFile(d.path("a"), old, 0o600))
			syncPath(t, d.path("a"))
			syncPath(t, d.Path)
			must(t, os.Rename(d.path("a"), d.path("b")))
		}, map[string]bool{"a=old": true, "b=old": true, "a=old b=old": true, "": true}},
		{"a file in a folder that its own folder does not hold yet", func(t *testing.T, d *Disk) {
			must(t, os.Mkdir(d.path("f"), 0o700))
			must(t, os.WriteFile(d.path("f/a"), old, 0o600))
			syncPath(t, d.path("f/a"))
			syncPath(t, d.path("f"))
		}, map[string]bool{"f/a=old": true, "": true}},
	} {
		t.Run(row.name, func(t *testing.T) {
			d := disk(t)
			seen := map[string]int{}
			for seed := range uint64(60) {
				row.do(t, d)
				must(t, d.Restore(rand.New(rand.NewPCG(seed, 0))))
				left := contents(t, d, old, young)
				if _, may := row.want[left]; !may {
					t.Fatalf("seed %d: %q is left", seed, left)
				}
				seen[left]++
				must(t, os.RemoveAll(d.path("f")))
				must(t, errors.Join(os.RemoveAll(d.path("a")), os.RemoveAll(d.path("b"))))
				syncPath(t, d.Path)
			}
			for left, must := range row.want {
				if must && seen[left] == 0 {
					t.Errorf("%q never happens: %v", left, seen)
				}
			}
		})
	}
}

func contents(t *testing.T, d *Disk, old, young []byte) string {
	var all []string
	for _, name := range []string{"a", "b", "f/a"} {
		b, err := os.ReadFile(d.path(name))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		must(t, err)
		word := "mixed"
		switch {
		case len(b) == 0:
			word = "empty"
		case bytes.Equal(b, old):
			word = "old"
		case bytes.Equal(b, young[:len(old)]):
			word = "young"
		case bytes.Equal(b, make([]byte, len(b))):
			word = "zeros"
		}
		all = append(all, name+"="+word)
	}
	s := fmt.Sprint(all)
	return s[1 : len(s)-1]
}

// What is asked after the cut waits, and fails when the disk is taken away.
func TestCut(t *testing.T) {
	d := disk(t)
	must(t, os.WriteFile(d.path("a"), []byte("a"), 0o600))
	d.CutAt(1)
	must(t, os.WriteFile(d.path("b"), nil, 0o600)) // the name
	failed := make(chan error)
	go func() { failed <- os.WriteFile(d.path("c"), nil, 0o600) }()
	<-d.Dark()
	select {
	case err := <-failed:
		t.Fatalf("the write was answered: %v", err)
	default:
	}
	d.Release()
	if err := <-failed; !errors.Is(err, unix.EIO) {
		t.Errorf("the write ended with %v", err)
	}
}
