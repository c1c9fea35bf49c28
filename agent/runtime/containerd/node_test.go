package containerd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	goruntime "runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"optimist/agent/runtime"
	"optimist/agent/runtime/runtimetest"
	"optimist/examples/images/build"
)

const busybox = "optimist/busybox:1"

// machine is a private containerd in a network namespace of its own, for one test. Nodes are containerd namespaces in it.
type machine struct {
	dir    string
	daemon *exec.Cmd
	nodes  int
}

// newMachine starts it, and at the end of the test stops it and demands that nothing is left: no mount, process or cgroup.
func newMachine(t testing.TB) *machine {
	t.Helper()
	if os.Getuid() != 0 || os.Getenv("OPTIMIST_NO_ROOT") != "" {
		t.Skip("NOT TESTED: the real runtime needs root")
	}
	for _, program := range []string{"containerd", "containerd-shim-runc-v2", "runc"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip("NOT TESTED: the real runtime needs " + program + " in PATH")
		}
	}
	m := &machine{dir: t.TempDir()}
	check(t, os.WriteFile(m.path("config.toml"), []byte(`version = 2
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.aufs", "io.containerd.tracing.processor.v1.otlp"]
`), 0o600))
	check(t, os.MkdirAll(m.path("tmp"), 0o755))
	m.start(t)
	t.Cleanup(func() {
		m.stop(t)
		m.nothingLeft(t)
	})
	return m
}

func (m *machine) path(name string) string { return filepath.Join(m.dir, name) }

// start runs the daemon in a network namespace of its own: the thread that forks it has unshared.
func (m *machine) start(t testing.TB) {
	t.Helper()
	log, err := os.OpenFile(m.path("containerd.log"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	check(t, err)
	defer log.Close()
	m.daemon = exec.Command("containerd", "--config", m.path("config.toml"), "--root", m.path("root"), "--state", m.path("state"), "--address", m.path("sock"))
	m.daemon.Stdout, m.daemon.Stderr = log, log
	m.daemon.Env = append(os.Environ(), "TMPDIR="+m.path("tmp"))
	check(t, onOwnThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return err
		}
		return m.daemon.Start()
	}))
}

func (m *machine) stop(t testing.TB) {
	t.Helper()
	check(t, m.daemon.Process.Signal(syscall.SIGTERM))
	_ = m.daemon.Wait()
}

// nothingLeft looks where this test's things would be; containerd itself may leave its own tmp mounts, but not ours.
func (m *machine) nothingLeft(t testing.TB) {
	t.Helper()
	mounts, err := os.ReadFile("/proc/self/mounts")
	check(t, err)
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, m.dir) {
			t.Errorf("left mounted: %s", line)
			unix.Unmount(strings.Fields(line)[1], unix.MNT_DETACH)
		}
	}
	for _, p := range m.processes(t) {
		t.Errorf("left running: %s", p)
	}
	groups, err := filepath.Glob(cgroupMount + "/*" + m.cgroup() + "*")
	check(t, err)
	if len(groups) > 0 {
		t.Errorf("left cgroups: %v", groups)
	}
	for node := range m.nodes { // runc's own folder; a container left in it keeps it from being removed
		if err := os.Remove("/run/containerd/runc/" + m.namespace(node+1)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("left in runc: %v", err)
		}
	}
}

// processes are the command lines that mention the machine's folder: the daemon's, shims', loggers'.
func (m *machine) processes(t testing.TB) []string {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*/cmdline")
	check(t, err)
	var found []string
	for _, p := range all {
		if line, err := os.ReadFile(p); err == nil && bytes.Contains(line, []byte(m.dir)) {
			found = append(found, p+" "+string(bytes.ReplaceAll(line, []byte{0}, []byte{' '})))
		}
	}
	return found
}

func (m *machine) name() string { return "optimist-test-" + filepath.Base(filepath.Dir(m.dir)) }

func (m *machine) cgroup() string { return "/" + m.name() }

func (m *machine) namespace(node int) string { return fmt.Sprintf("%s-n%d", m.name(), node) }

// node is an empty node with the busybox image.
func (m *machine) node(t testing.TB) *Runtime {
	t.Helper()
	m.nodes++
	cfg := Config{
		Socket:     m.path("sock"),
		Namespace:  m.namespace(m.nodes), // unique on the computer: all containerds share runc's /run/containerd/runc/<namespace>
		Root:       m.path(fmt.Sprintf("run/n%d", m.nodes)),
		LoggerPath: loggerBinary(t),
		CgroupRoot: fmt.Sprintf("%s-n%d", m.cgroup(), m.nodes),
	}
	r := m.open(t, cfg)
	m.await(t, r)
	must(r.Import(t.Context(), bytes.NewReader(busyboxImage(t))))(t)
	t.Cleanup(func() { clearNode(t, r) })
	return r
}

func (m *machine) open(t testing.TB, cfg Config) *Runtime {
	t.Helper()
	r := must(New(cfg))(t)
	t.Cleanup(func() { r.Close() })
	return r
}

// await returns when the daemon answers.
func (m *machine) await(t testing.TB, r *Runtime) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for {
		if _, err := os.Stat(m.path("sock")); err == nil {
			if _, err := r.Version(ctx); err == nil {
				return
			}
		}
		select {
		case <-ctx.Done():
			log, _ := os.ReadFile(m.path("containerd.log"))
			t.Fatalf("containerd does not come up:\n%s", log)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// clearNode removes what a test left, so that the machine can demand nothing is.
func clearNode(t testing.TB, r *Runtime) {
	ctx := context.WithoutCancel(t.Context())
	state, err := r.State(ctx)
	if err != nil {
		t.Errorf("clear node: %v", err)
	}
	for _, box := range state {
		if err := r.RemoveSandbox(ctx, box.Pod); err != nil {
			t.Errorf("clear node: %v", err)
		}
	}
}

// sh is a container that runs a shell script.
func sh(r *Runtime, id runtime.ContainerID, script string) runtime.ContainerSpec {
	return runtime.ContainerSpec{
		ID: id, Image: busybox, Command: []string{"sh", "-c", script},
		LogPath: filepath.Join(r.cfg.Root, "logs", id.String()+".log"),
	}
}

// subject translates the suite's behaviours to shell.
func subject(t *testing.T, m *machine) runtimetest.Subject {
	r := m.node(t)
	scripts := map[runtimetest.Behaviour]string{
		runtimetest.RunsForever:    "trap 'exit 0' TERM; echo up; while :; do sleep 0.05; done",
		runtimetest.IgnoresSIGTERM: "trap '' TERM; while :; do sleep 0.05; done",
		runtimetest.Succeeds:       "exit 0",
		runtimetest.ExitsWith3:     "exit 3",
	}
	return runtimetest.Subject{
		Runtime: r,
		Restart: func() runtime.Runtime { return m.open(t, r.cfg) },
		Heeds: func(t *testing.T, spec runtime.ContainerSpec) {
			eventually(t, "the trap is set", func() bool { log, _ := os.ReadFile(spec.LogPath); return bytes.Contains(log, []byte("up")) })
		},
		Spec: func(b runtimetest.Behaviour) runtime.ContainerSpec {
			spec := sh(r, runtime.ContainerID{}, scripts[b])
			spec.LogPath = filepath.Join(r.cfg.Root, "logs", "c.log")
			switch b {
			case runtimetest.HasNoCommand:
				spec.Command = []string{"/no/such/command"}
			case runtimetest.HasNoImage:
				spec.Image = "example.org/no/such/image:1"
			}
			return spec
		},
	}
}

var busyboxTar = sync.OnceValues(func() ([]byte, error) {
	var b bytes.Buffer
	err := build.Busybox().Write(&b)
	return b.Bytes(), err
})

func busyboxImage(t testing.TB) []byte {
	t.Helper()
	return must(busyboxTar())(t)
}

var builtLogger = sync.OnceValues(func() (string, error) {
	path := filepath.Join(os.TempDir(), fmt.Sprintf("optimist-test-logger-%d", os.Getpid()))
	out, err := exec.Command("go", "build", "-o", path, "optimist/cmd/logger").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return path, nil
})

func loggerBinary(t testing.TB) string {
	t.Helper()
	return must(builtLogger())(t)
}

func TestMain(m *testing.M) {
	goruntime.LockOSThread() // keeps the main thread out of the game of namespaces
	code := m.Run()
	os.Remove(filepath.Join(os.TempDir(), fmt.Sprintf("optimist-test-logger-%d", os.Getpid())))
	os.Exit(code)
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		check(t, err)
		return v
	}
}
