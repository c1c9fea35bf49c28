package bolt

import (
	"bufio"
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"testing"

	"golang.org/x/sys/unix"

	"optimist/apiserver/store"
	"optimist/e2e/durability/forgetful"
)

// The power fails before the first change that a store makes to its disk, before the second, and so on to the end of a short life.
// What survives of what was not synced is left to chance. Afterwards the file opens, or there is none yet, and everything acknowledged is there.
func TestPowerLossBeforeEveryChange(t *testing.T) {
	everyChange(t, 1, "", func(t *testing.T, d *forgetful.Disk, random *rand.Rand, acknowledged map[store.Revision]string) {
		if err := d.Restore(random); err != nil {
			t.Fatal(err)
		}
		checkLeft(t, d, acknowledged)
	})
}

// The process is killed before every change, and lives again; only then the power fails. What the first life left unsynced is the second's duty.
func TestPowerLossAfterKill(t *testing.T) {
	everyChange(t, 3, "", func(t *testing.T, d *forgetful.Disk, random *rand.Rand, acknowledged map[store.Revision]string) {
		if err := d.Revive(); err != nil {
			t.Fatal(err)
		}
		again, _ := liveUntilDark(t, d)
		maps.Copy(acknowledged, again)
		d.Cut()
		if err := d.Restore(random); err != nil {
			t.Fatal(err)
		}
		checkLeft(t, d, acknowledged)
	})
}

// The same while a file of format 1 is brought to this one; every second time the process is killed and the disk forgets nothing. Everything that
// was in the old file is there afterwards.
func TestPowerLossWhileMigrating(t *testing.T) {
	const old = "testdata/format-1.db"
	want := content(t, copied(t, old))
	cut := 0
	everyChange(t, 1, old, func(t *testing.T, d *forgetful.Disk, random *rand.Rand, acknowledged map[store.Revision]string) {
		forget := d.Revive
		if cut++; cut%2 == 0 {
			forget = func() error { return d.Restore(random) }
		}
		if err := forget(); err != nil {
			t.Fatal(err)
		}
		if got := content(t, checkLeft(t, d, acknowledged)); !reflect.DeepEqual(got, want) {
			t.Errorf("the old file had %d entries, of which %d are left", len(want), len(got))
		}
	})
}

// everyChange lets a store live shortly, from a copy of a file if one is named, until the disk goes dark before a change, for each change, and
// hands over what was acknowledged. A share of the tests leaves steps out.
func everyChange(t *testing.T, step int, from string, then func(*testing.T, *forgetful.Disk, *rand.Rand, map[store.Revision]string)) {
	if err := unix.Access("/dev/fuse", unix.R_OK|unix.W_OK); err != nil || os.Getuid() != 0 || os.Getenv("OPTIMIST_NO_ROOT") != "" {
		t.Skipf("SKIPPED: power losses need root and /dev/fuse (%v)", err)
	}
	seeds := uint64(1)
	if os.Getenv("OPTIMIST_LONG") != "" {
		seeds, step = 20, 1
	}
	losses := 0
	for seed := range seeds {
		for change, finished := 0, false; !finished; change += step {
			t.Run(fmt.Sprintf("%d/%d", seed, change), func(t *testing.T) {
				d, err := forgetful.New(t.TempDir())
				if err != nil {
					t.Fatal(err)
				}
				defer func() {
					if err := d.Close(); err != nil {
						t.Error(err)
					}
				}()
				if from != "" {
					place(t, d, from)
				}
				d.CutAt(change)
				var acknowledged map[store.Revision]string
				if acknowledged, finished = liveUntilDark(t, d); !finished {
					losses++
					then(t, d, rand.New(rand.NewPCG(seed, uint64(change))), acknowledged)
				}
			})
			if t.Failed() {
				return
			}
		}
	}
	if t.Logf("%d losses of power", losses); losses*step < 100 {
		t.Error("there must be more changes than that")
	}
}

// place puts a file where a life will look for its store, synced.
func place(t *testing.T, d *forgetful.Disk, file string) {
	t.Helper()
	data, err := os.ReadFile(file)
	path := filepath.Join(d.Path, "data", "store.db")
	for _, do := range []func() error{
		func() error { return err },
		func() error { return os.Mkdir(filepath.Dir(path), 0o700) },
		func() error { return os.WriteFile(path, data, 0o600) },
		func() error { return syncFolder(path) }, // a file is synced as a folder is
		func() error { return syncFolders(path) },
	} {
		if err := do(); err != nil {
			t.Fatal(err)
		}
	}
}

// checkLeft opens a copy of what is left: this process must not map what it serves. It returns where the copy is.
func checkLeft(t *testing.T, d *forgetful.Disk, acknowledged map[store.Revision]string) string {
	left := t.TempDir()
	if err := d.Save(left); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(left, "data", "store.db")
	if len(acknowledged) > 0 || exists(path) {
		verify(t, path, Options{NoSync: true}, 0, acknowledged)
	}
	return path
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// liveUntilDark lets a child live on the disk and returns what it printed.
func liveUntilDark(t *testing.T, d *forgetful.Disk) (acknowledged map[store.Revision]string, finished bool) {
	var said bytes.Buffer
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), "OPTIMIST_LIVE="+filepath.Join(d.Path, "data", "store.db"))
	child.Stderr = os.Stderr
	child.Stdout = &said
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- child.Wait() }()
	select {
	case err := <-ended:
		if err != nil {
			t.Fatalf("the child failed: %v", err)
		}
		return acknowledgements(t, bufio.NewReader(&said), nil), true
	case <-d.Dark():
	}
	child.Process.Kill()
	d.Release()
	<-ended
	return acknowledgements(t, bufio.NewReader(&said), nil), false
}
