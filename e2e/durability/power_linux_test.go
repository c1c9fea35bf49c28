package durability

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"optimist/e2e/durability/forgetful"
	"optimist/internal/client"
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

// The power fails during the first start of an API server that has only just been given a disk, credentials and all. Whoever has had a write
// acknowledged can go on with the same credentials, and finds it.
func TestPowerLossAtFirstStart(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 0))
	for n := range long(15, 400) {
		change := random.IntN(firstChanges)
		if err := firstStart(t, change, random); err != nil {
			t.Fatalf("loss %d, before change %d: %v", n, change, err)
		}
	}
}

// firstChanges is about how many changes a first start makes to the disk, with some writes.
const firstChanges = 260

func firstStart(t *testing.T, change int, random *rand.Rand) error {
	d := forgetfulDisk(t)
	trial := newTrial(newServer(t, built, filepath.Join(d.Path, "cluster", "store.db")), uint64(change))
	trial.pki = filepath.Join(d.Path, "cluster", "pki")
	trial.flags = nil // keep what was written first, however long a busy machine takes: it is looked at
	d.CutAt(change)
	if err := trial.launch(); err != nil {
		return err
	}
	for _, w := range trial.watchers {
		w.options.After = 1 // 0 would be "from now on"
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-d.Dark()
		trial.shoot()
		d.Release()
		cancel()
	}()
	used, err := trial.use(ctx)
	err = errors.Join(err, d.Restore(random))
	trial.kill()
	if err != nil {
		return err
	}
	c, err := trial.look(t.Context())
	if err != nil {
		return err
	}
	defer c.Close()
	if used.Server == "" || trial.logbook.newest == 0 {
		return nil
	}
	same, err := client.New(used)
	if err != nil {
		return err
	}
	defer same.Close()
	if _, err := same.Now(t.Context()); err != nil {
		return fmt.Errorf("the credentials that were good before: %w", err)
	}
	return nil
}

// use has one writer write with the administrator's credentials, as soon as there are some.
func (t *trial) use(ctx context.Context) (client.Config, error) {
	for ctx.Err() == nil {
		conf, err := client.Load(filepath.Join(t.pki, "admin.kubeconfig"), "")
		if err != nil {
			time.Sleep(time.Millisecond)
			continue
		}
		c, err := client.New(conf)
		if err != nil {
			return conf, err
		}
		defer c.Close()
		if _, err := c.Now(ctx); err == nil {
			return conf, t.writers[0].run(ctx, c)
		}
		c.Close()
	}
	return client.Config{}, nil
}
