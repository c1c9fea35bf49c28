//go:build unix

package leaders

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"optimist/controllers"
	"optimist/internal/api"
	"optimist/internal/client"
	"optimist/scheduler"
)

// TestMain turns the test binary into one of the copies, if it is told which: "scheduler a" or "controllers b".
func TestMain(m *testing.M) {
	if words := strings.Fields(os.Getenv("OPTIMIST_COPY")); len(words) == 2 {
		fmt.Fprintln(os.Stderr, run(words[0], words[1], os.Getenv("OPTIMIST_PKI")))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func run(part, id, dir string) error {
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	as := func(user string) api.Service {
		file := strings.Replace(strings.TrimPrefix(user, "system:"), ":", "-", 1) + ".kubeconfig"
		cfg, err := client.Load(filepath.Join(dir, file), "")
		if err == nil {
			var c *client.Client
			if c, err = client.New(cfg); err == nil {
				return slowWire{c, delay[part]}
			}
		}
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
		return nil
	}
	if part == "scheduler" {
		return scheduler.New(scheduler.Config{Service: as(api.UserScheduler), ID: id, Log: log}).Run(context.Background())
	}
	return controllers.New(controllers.Config{Service: as, ID: id, Log: log}).Run(context.Background())
}

// slowWire is a connection on which a write takes a while to arrive, and arrives even if its author has learnt meanwhile that it leads no longer.
// (Over a fast one, a leader that wakes up looks at its clock before anything else, and hardly ever writes late.) It prints what was refused: because the lease was lost, or because
// the others have done it already (a pod is bound only once).
type slowWire struct {
	api.Service
	delay time.Duration
}

// delay is chosen so that of each part some write is under way at any time of a burst.
var delay = map[string]time.Duration{"scheduler": 100 * time.Millisecond, "controllers": 5 * time.Millisecond}

const refusal = "refused: "

func (s slowWire) Write(ctx context.Context, r api.Request) (api.Result, error) {
	if api.FenceFrom(ctx) != nil {
		time.Sleep(s.delay)
		ctx = context.WithoutCancel(ctx)
	}
	result, err := s.Service.Write(ctx, r)
	if api.FenceFrom(ctx) != nil && (apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) || apierrors.IsNotFound(err)) && !r.Kind.Is(api.LeaseKind) {
		fmt.Fprintln(os.Stderr, refusal+string(r.Verb), r.Kind, err)
	}
	return result, err
}

// copyOf is one process.
type copyOf struct {
	part, id string
	cmd      *exec.Cmd

	mu      sync.Mutex
	refused []string
	log     []string
}

func launch(t *testing.T, part, id, dir string) *copyOf {
	t.Helper()
	c := &copyOf{part: part, id: id, cmd: exec.Command(os.Args[0])}
	c.cmd.Env = append(os.Environ(), "OPTIMIST_COPY="+part+" "+id, "OPTIMIST_PKI="+dir)
	out, err := c.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var reading sync.WaitGroup
	reading.Go(func() { c.read(out) })
	t.Cleanup(func() {
		_ = c.cmd.Process.Kill() // also what is paused; an error says that it has ended by itself, and Wait tells how
		reading.Wait()
		_ = c.cmd.Wait()
		if t.Failed() {
			t.Logf("the last words of %s %s:\n%s", c.part, c.id, strings.Join(c.log[max(0, len(c.log)-5):], "\n"))
		}
	})
	return c
}

func (c *copyOf) read(from io.Reader) {
	for lines := bufio.NewScanner(from); lines.Scan(); {
		c.mu.Lock()
		if what, ok := strings.CutPrefix(lines.Text(), refusal); ok {
			c.refused = append(c.refused, what)
		} else {
			c.log = append(c.log, lines.Text())
		}
		c.mu.Unlock()
	}
}

func (c *copyOf) says(words string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.ContainsFunc(c.log, func(line string) bool { return strings.Contains(line, words) })
}

func (c *copyOf) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := c.cmd.Process.Signal(s); err != nil {
		t.Fatalf("%s %s: %v", c.part, c.id, err)
	}
}
