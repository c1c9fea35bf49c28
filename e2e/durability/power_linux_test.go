package durability

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"optimist/e2e/durability/forgetful"
)

// forgetfulDisk is mounted on a folder of its own, or the test is skipped where that cannot be.
func forgetfulDisk(t *testing.T) *forgetful.Disk {
	t.Helper()
	if err := unix.Access("/dev/fuse", unix.R_OK|unix.W_OK); err != nil || os.Getuid() != 0 || os.Getenv("OPTIMIST_NO_ROOT") != "" {
		t.Skipf("SKIPPED: power losses need root and /dev/fuse (%v)", err)
	}
	d, err := forgetful.New(t.TempDir())
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

// powerTrial ends its rounds with a loss of power.
func powerTrial(t *testing.T, program func() (string, error), seed uint64) *trial {
	d := forgetfulDisk(t)
	trial := newTrial(newServer(t, program, filepath.Join(d.Path, "data", "store.db")), seed)
	trial.end = func() error {
		d.Cut()
		trial.shoot()
		defer trial.kill()
		return d.Restore(trial.random)
	}
	return trial
}

// The power fails while the API server is written to, while it starts, and while it compacts. What is not synced survives by chance.
func TestPowerLoss(t *testing.T) {
	trial := powerTrial(t, built, 2)
	if err := trial.run(t.Context(), long(60, 500)); err != nil {
		t.Fatal(err)
	}
	trial.report(t, "losses of power")
	if trial.ledger.count[done] < trial.rounds {
		t.Error("hardly anything was written")
	}
}

// The same must find out a server that acknowledges before the disk has it; else it proves nothing.
func TestPowerLossFindsMissingSyncs(t *testing.T) {
	for seed := range uint64(long(3, 10)) {
		trial := powerTrial(t, built, seed)
		if err := trial.run(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		trial.kill()
		program, err := unsynced()
		if err != nil {
			t.Fatal(err)
		}
		trial.program = program // file and folders are safe: only writes can be lost
		if err = trial.run(t.Context(), 20); err == nil {
			t.Fatalf("seed %d: twenty losses of power, and nothing was missed", seed)
		}
		t.Logf("found: %v", err)
		trial.kill()
	}
}
