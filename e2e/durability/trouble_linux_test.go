package durability

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"optimist/apiserver/store/bolt"
	"optimist/internal/api"
	"optimist/internal/client"
)

// small mounts a small disk.
func small(t *testing.T) string {
	t.Helper()
	if os.Getuid() != 0 || os.Getenv("OPTIMIST_NO_ROOT") != "" {
		t.Skip("SKIPPED: small disks need root")
	}
	dir := t.TempDir()
	if err := unix.Mount("small", dir, "tmpfs", 0, "size=8m"); err != nil {
		t.Skipf("SKIPPED: cannot mount a small disk: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// fill takes all the room of a disk that there is, and gives it back when it is asked to.
func fill(t *testing.T, dir string) (makeRoom func()) {
	t.Helper()
	path := filepath.Join(dir, "somebody's film")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for size := 1 << 20; size > 0; {
		if _, err := f.Write(make([]byte, size)); errors.Is(err, unix.ENOSPC) {
			size /= 2
		} else if err != nil {
			t.Fatal(err)
		}
	}
	return func() {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}

// cluster is an API server and an agent with simulated containers, both real processes; a pod runs there.
type cluster struct {
	*server
	*client.Client
	pod   *corev1.Pod
	agent *said
}

// said is what a process prints.
type said struct {
	mu  sync.Mutex
	all bytes.Buffer
}

func (s *said) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all.Write(p)
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all.String()
}

var agent = sync.OnceValues(func() (string, error) {
	program := filepath.Join(programs, "agent")
	out, err := exec.Command("go", "build", "-o", program, top+"/cmd/agent").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build the agent: %w\n%s", err, out)
	}
	return program, nil
})

func newCluster(t *testing.T, data string) *cluster {
	t.Helper()
	c := &cluster{server: newServer(t, built, data), agent: &said{}}
	c.flags = []string{"--node", "n1"}
	program, err := agent()
	if err == nil {
		err = c.start()
	}
	if err == nil {
		c.Client, err = c.dial()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Client.Close() })
	if _, err := c.Now(t.Context()); err != nil { // by then there are all credentials
		t.Fatal(err)
	}
	a := exec.Command(program, "--runtime", "sim", "--node", "n1", "--kubeconfig", filepath.Join(c.pki, "node-n1.kubeconfig"), "--root", t.TempDir())
	a.Stdout, a.Stderr = c.agent, c.agent
	if err := a.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Process.Kill(); a.Wait() })
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "web"},
		Spec: corev1.PodSpec{NodeName: "n1", Containers: []corev1.Container{{Name: "c", Image: "i"}}}}
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "default"}} // no controllers run that would make it
	if _, err := api.ServiceAccounts.Create(t.Context(), c, account); err != nil {
		t.Fatal(err)
	}
	if _, err := api.Pods.Create(t.Context(), c, pod); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the pod runs", func() bool {
		c.pod, err = api.Pods.Get(t.Context(), c, api.KeyOf(pod))
		return err == nil && c.pod.Status.Phase == corev1.PodRunning
	})
	return c
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never in a minute: %s", what)
		}
	}
}

// A disk that is full, or read-only for a while: writes are refused and say why, nothing of them is there, and all else goes on. When the disk
// is well again everything is, without help.
func TestDiskTrouble(t *testing.T) {
	for _, row := range []struct {
		name  string
		disk  func(t *testing.T) (dir string, trouble func(t *testing.T) (heal func()))
		words string
	}{
		{"full", func(t *testing.T) (string, func(*testing.T) func()) {
			dir := small(t)
			return dir, func(t *testing.T) func() { return fill(t, dir) }
		}, "no space left on device"},
		{"read-only", func(t *testing.T) (string, func(*testing.T) func()) {
			d := forgetfulDisk(t)
			return d.Path, func(*testing.T) func() {
				d.Refuse(unix.EROFS)
				return func() { d.Refuse(0) }
			}
		}, "read-only file system"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			dir, trouble := row.disk(t)
			c := newCluster(t, filepath.Join(dir, "data", "store.db"))
			watch := c.follow(t)
			heal := trouble(t)
			written := c.writeUntilRefused(t, row.words)
			c.goesOn(t)
			heal()
			written["healed"] = true
			if err := c.write(t, "healed", 10); err != nil {
				t.Errorf("there is room again, and yet: %v", err)
			}
			c.recovers(t, time.Now())
			if got := watch("healed"); !maps.Equal(got, written) {
				t.Errorf("the watch was told of %v, written were %v", got, written)
			}
			c.kill()
			if err := c.start(); err != nil {
				t.Fatal(err)
			}
			if got := c.names(t); !maps.Equal(got, written) {
				t.Errorf("after a restart there are %v, written were %v", got, written)
			}
		})
	}
}

func (c *cluster) write(t *testing.T, name string, size int) error {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	_, err := api.ConfigMaps.Create(ctx, c, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Data: map[string]string{"x": strings.Repeat("x", size)}})
	return err
}

// writeUntilRefused writes less and less, until not even little is taken any more; it returns the names of what was.
func (c *cluster) writeUntilRefused(t *testing.T, words string) map[string]bool {
	t.Helper()
	written := map[string]bool{}
	size, refusals := 512<<10, 0
	for n := 0; refusals < 20; n++ {
		if n > 10_000 {
			t.Fatal("the disk is never full")
		}
		name := fmt.Sprintf("c%d", n)
		err := c.write(t, name, size)
		if err == nil {
			written[name], refusals = true, 0
			continue
		}
		refusals++
		size = max(size/2, 10)
		if !apierrors.IsServiceUnavailable(err) || api.Ambiguous(err) {
			t.Fatalf("it is not clear that this was not written: %v", err)
		}
		for _, word := range []string{words, c.data, "make room, or make it writable again"} {
			if !strings.Contains(err.Error(), word) {
				t.Fatalf("got %v, which does not say %q", err, word)
			}
		}
	}
	return written
}

// goesOn: reads and watches do, and the agent keeps the pod running and tries again.
func (c *cluster) goesOn(t *testing.T) {
	t.Helper()
	if _, err := api.Nodes.Get(t.Context(), c, api.Key{Name: "n1"}); err != nil {
		t.Errorf("reads do not go on: %v", err)
	}
	batches, err := c.Watch(t.Context(), api.Target{Kind: api.PodKind}, api.WatchOptions{Initial: true})
	if err != nil {
		t.Fatalf("watches do not go on: %v", err)
	}
	for batch, err := range batches {
		if err != nil || len(batch) == 0 || batch[0].Type != api.Added {
			t.Errorf("a new watch is told %v, %v", batch, err)
		}
		break
	}
	eventually(t, "the agent tries to renew its lease", func() bool {
		return strings.Contains(c.agent.String(), "cannot renew the node's lease; trying again")
	})
}

// recovers: leases are renewed, the pod is still the same one, and it can be deleted.
func (c *cluster) recovers(t *testing.T, since time.Time) {
	t.Helper()
	eventually(t, "the lease is renewed", func() bool {
		l, err := api.Leases.Get(t.Context(), c, api.Key{Namespace: corev1.NamespaceNodeLease, Name: "n1"})
		return err == nil && l.Spec.RenewTime != nil && l.Spec.RenewTime.After(since)
	})
	p, err := api.Pods.Get(t.Context(), c, api.KeyOf(c.pod))
	if err != nil {
		t.Fatal(err)
	}
	before, after := c.pod.Status.ContainerStatuses[0], p.Status.ContainerStatuses[0]
	if before.ContainerID != after.ContainerID || after.State.Running == nil || p.UID != c.pod.UID {
		t.Errorf("the pod was\n%+v\nand is\n%+v", before, after)
	}
	if err := api.Pods.Delete(t.Context(), c, api.KeyOf(p), api.Options{Grace: new(int64(1))}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the pod is stopped and gone", func() bool {
		_, err := api.Pods.Get(t.Context(), c, api.KeyOf(p))
		return apierrors.IsNotFound(err)
	})
}

// follow watches from now on; what it returns tells the names of all that was made, up to the last one.
func (c *cluster) follow(t *testing.T) func(last string) map[string]bool {
	t.Helper()
	batches, err := c.Watch(t.Context(), api.Target{Kind: api.ConfigMapKind, Key: api.Key{Namespace: namespace}}, api.WatchOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return func(last string) map[string]bool {
		t.Helper()
		names := map[string]bool{}
		for batch, err := range batches {
			if err != nil {
				t.Fatalf("the watch broke: %v", err)
			}
			for _, e := range batch {
				if e.Type != api.Bookmark {
					names[e.Object.GetName()] = true
				}
			}
			if names[last] {
				break
			}
		}
		return names
	}
}

func (c *cluster) names(t *testing.T) map[string]bool {
	t.Helper()
	s, err := c.dial()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	all, err := api.ConfigMaps.List(t.Context(), s, namespace, api.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, o := range all {
		names[o.Name] = true
	}
	delete(names, published)
	return names
}

// What the API server says when it cannot start on a disk.
func TestStartOnBadDisk(t *testing.T) {
	for _, row := range []struct {
		name  string
		make  func(t *testing.T, dir, data string)
		words []string
	}{
		{"a full disk, the first time", func(t *testing.T, dir, data string) { fill(t, dir) }, []string{"no space left on device", "make room"}},
		{"a read-only disk, the first time", func(t *testing.T, dir, data string) {
			remount(t, dir, unix.MS_RDONLY)
		}, []string{"read-only file system", "make it writable"}},
		{"a read-only disk, later", func(t *testing.T, dir, data string) {
			makeStore(t, data)
			remount(t, dir, unix.MS_RDONLY)
		}, []string{"read-only file system", "make it writable"}},
		{"somebody else's file", func(t *testing.T, dir, data string) {
			makeStore(t, data)
			if err := os.Chown(data, 12345, 12345); err != nil {
				t.Fatal(err)
			}
		}, []string{"permission denied", "must be allowed to read and write"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			dir := small(t)
			s := newServer(t, built, filepath.Join(dir, "store.db"))
			for _, path := range []string{dir, filepath.Dir(s.pki), filepath.Dir(filepath.Dir(s.pki)), programs} { // for nobody
				if err := os.Chmod(path, 0o777); err != nil {
					t.Fatal(err)
				}
			}
			row.make(t, dir, s.data)
			s.as = 65534
			if err := s.launch(); err != nil {
				t.Fatal(err)
			}
			<-s.exited
			for _, word := range append(row.words, s.data) {
				if said := s.said.String(); !strings.Contains(said, word) {
					t.Errorf("it does not say %q:\n%s", word, said)
				}
			}
		})
	}
}

func remount(t *testing.T, dir string, flags uintptr) {
	t.Helper()
	if err := unix.Mount("small", dir, "tmpfs", unix.MS_REMOUNT|flags, "size=8m"); err != nil {
		t.Fatal(err)
	}
}

func makeStore(t *testing.T, path string) {
	t.Helper()
	db, err := bolt.Open(path, bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// On a full disk there may be no room to write, but there is enough to read.
func TestStartOnFullDisk(t *testing.T) {
	dir := small(t)
	s := newServer(t, built, filepath.Join(dir, "store.db"))
	c := &cluster{server: s}
	if err := s.start(); err != nil {
		t.Fatal(err)
	}
	var err error
	if c.Client, err = s.dial(); err != nil {
		t.Fatal(err)
	}
	defer c.Client.Close()
	if err := c.write(t, "before", 10); err != nil {
		t.Fatal(err)
	}
	makeRoom := fill(t, dir)
	s.kill()
	if err := s.start(); err != nil {
		t.Fatal(err)
	}
	if got := c.names(t); !got["before"] {
		t.Errorf("it has %v", got)
	}
	makeRoom()
	if err := c.write(t, "after", 10); err != nil {
		t.Error(err)
	}
}
