package real

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/vishvananda/netns"
	"go.etcd.io/bbolt"
	corev1 "k8s.io/api/core/v1"

	"optimist/ctl/cluster"
	"optimist/internal/pki"
)

// What people get wrong with a running cluster, and what they are told. The subtests share one cluster, which stays usable after each.
func TestBadInput(t *testing.T) {
	c := up(t)
	for _, sub := range []struct {
		name string
		run  func(*testing.T, *Cluster)
	}{
		{"pods that cannot run say why", badPods},
		{"a kubeconfig that is none", badKubeconfig},
		{"an expired certificate", expired},
		{"a port in use names its holder", takenPort},
		{"a second cluster beside the first", second},
		{"a database that cannot be read", badDatabase},
		{"stop and start in every state", stopStart},
		{"a cluster.json that is garbled", garbled}, // last: only down is left after it
	} {
		t.Run(sub.name, func(t *testing.T) { sub.run(t, c) })
	}
}

// refused runs a command line that must fail, promptly, and say all the words.
func (c *Cluster) refused(t *testing.T, args []string, words ...string) {
	t.Helper()
	began := time.Now()
	out, err := c.Ctl(args...)
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Fatalf("ctl %s: %v (want exit status 1)\n%s", strings.Join(args, " "), err, out)
	}
	says(t, out, words...)
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("ctl %s took %s to say so", strings.Join(args, " "), took)
	}
}

func says(t *testing.T, out string, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(out, w) {
			t.Errorf("this does not say %q:\n%s", w, out)
		}
	}
	if strings.Contains(out, "goroutine ") || strings.Contains(out, "panic") {
		t.Errorf("a panic:\n%s", out)
	}
}

// images serves a registry on a port of the node's own loopback. It has nothing but the repository "locked", which it refuses.
func (c *Cluster) images(t *testing.T) string {
	t.Helper()
	l := c.listen(t)
	empty := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	server := &httptest.Server{Listener: l, Config: &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/locked/") {
			http.Error(w, `{"errors":[{"code":"UNAUTHORIZED","message":"who are you?"}]}`, http.StatusUnauthorized)
			return
		}
		empty.ServeHTTP(w, r)
	})}}
	server.Start()
	t.Cleanup(server.Close)
	return l.Addr().String()
}

// listen opens a port on the loopback of the cluster's network namespace.
func (c *Cluster) listen(t *testing.T) net.Listener {
	t.Helper()
	type result struct {
		l   net.Listener
		err error
	}
	done := make(chan result)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with this goroutine
		ns, err := netns.GetFromName(c.netns)
		if err == nil {
			defer ns.Close()
			err = netns.Set(ns)
		}
		if err != nil {
			done <- result{err: err}
			return
		}
		l, err := net.Listen("tcp", "127.0.0.1:0")
		done <- result{l, err}
	}()
	r := <-done
	if r.err != nil {
		t.Fatal(r.err)
	}
	t.Cleanup(func() { r.l.Close() })
	return r.l
}

func badPods(t *testing.T, c *Cluster) {
	const pod = `{apiVersion: v1, kind: Pod, metadata: {name: %s, labels: {bad: pod}}, spec: {terminationGracePeriodSeconds: 0, containers: [{name: c, %s}]}}` + "\n---\n"
	where := c.images(t)
	rows := []struct {
		name, container string
		reasons         []string // one of them, in the container's state
		words           string   // in `ctl describe`
	}{
		{"no-image", `image: "` + where + `/none:1"`, []string{"ErrImagePull", "ImagePullBackOff"}, "not found"},
		{"locked-image", `image: "` + where + `/locked/it:1"`, []string{"ErrImagePull", "ImagePullBackOff"}, "401"},
		{"no-registry", `image: "127.0.0.1:1/none:1"`, []string{"ErrImagePull", "ImagePullBackOff"}, "connection refused"},
		{"no-name", `image: "Not A Name"`, []string{"InvalidImageName"}, "Not A Name"},
		{"never-pulled", `image: "optimist/none:1", imagePullPolicy: Never`, []string{"ErrImageNeverPull"}, "Never"},
		{"no-command", `image: "optimist/web:1", command: [/no/such/program]`, []string{"StartError", "RunContainerError", "CrashLoopBackOff"}, "/no/such/program"},
		{"no-memory", `image: "optimist/web:1", resources: {limits: {memory: 1Mi}}`, []string{"OOMKilled", "StartError", "RunContainerError", "CrashLoopBackOff"}, "memory"},
		{"no-config", `image: "optimist/web:1", envFrom: [{configMapRef: {name: missing}}]`, []string{"CreateContainerConfigError"}, "missing"},
	}
	var manifest strings.Builder
	for _, row := range rows {
		fmt.Fprintf(&manifest, pod, row.name, row.container)
	}
	if out, err := c.CtlContext(t.Context(), manifest.String(), "apply", "-f", "-"); err != nil {
		t.Fatal(out, err)
	}
	for _, row := range rows {
		eventually(t, 20*time.Second, func() (bool, string) {
			var p corev1.Pod
			decode(t, c.must(t, "get", "pod", row.name, "-o", "yaml"), &p)
			described := c.must(t, "describe", "pod", row.name)
			for _, s := range p.Status.ContainerStatuses {
				for _, reason := range row.reasons {
					if strings.Contains(reasonsOf(s), " "+reason+" ") && strings.Contains(described, row.words) {
						return true, ""
					}
				}
			}
			return false, described
		})
	}
	c.must(t, "delete", "pod", "-l", "bad=pod")
}

func reasonsOf(s corev1.ContainerStatus) string {
	all := " "
	for _, state := range []corev1.ContainerState{s.State, s.LastTerminationState} {
		if state.Waiting != nil {
			all += state.Waiting.Reason + " "
		}
		if state.Terminated != nil {
			all += state.Terminated.Reason + " "
		}
	}
	return all
}

func badKubeconfig(t *testing.T, c *Cluster) {
	garbage := filepath.Join(t.TempDir(), "garbage")
	before := []byte("clusters: [\x01")
	if err := os.WriteFile(garbage, before, 0o600); err != nil {
		t.Fatal(err)
	}
	c.refused(t, []string{"get", "pods", "--kubeconfig", garbage}, garbage)
	c.refused(t, []string{"up", "--name", c.Name, "--kubeconfig", garbage}, garbage, "nothing in it was changed", "--kubeconfig")
	c.refused(t, []string{"up", "--name", c.Name + "x", "--kubeconfig", garbage}, garbage)
	if _, err := os.Stat(c.Root() + "x"); err == nil {
		t.Error("something was made before the kubeconfig was looked at")
	}
	if after, err := os.ReadFile(garbage); err != nil || !bytes.Equal(after, before) {
		t.Errorf("the file is now %q (%v)", after, err)
	}
	c.refused(t, []string{"get", "pods", "--context", "elsewhere"}, `there is no context "elsewhere"`, c.Name)
}

// expired makes all certificates ones of the past. They tell so, and a restart renews them.
func expired(t *testing.T, c *Cluster) {
	dir := filepath.Join(c.Root(), "pki")
	ca, err := pki.EnsureCA(dir)
	if err != nil {
		t.Fatal(err)
	}
	good, err := pki.LoadKubeconfig(filepath.Join(dir, "admin.kubeconfig"), "")
	if err != nil {
		t.Fatal(err)
	}
	past := func(name string, hosts ...string) (cert, key []byte) {
		if cert, key, err = ca.Issue(pki.Subject{Name: name}, hosts, -time.Second); err != nil {
			t.Fatal(err)
		}
		return cert, key
	}
	old := good
	old.Cert, old.Key = past(pki.AdminUser)
	data, err := old.Kubeconfig()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "old")
	put(t, file, data)
	c.refused(t, []string{"get", "pods", "--kubeconfig", file}, file, "expired", "ctl stop, ctl start")

	c.must(t, "stop", "--name", c.Name)
	kubeconfigs, _ := filepath.Glob(filepath.Join(dir, "*.kubeconfig"))
	for _, k := range kubeconfigs {
		put(t, k, data) // another user's, too
	}
	cert, key := past("system:apiserver", "127.0.0.1")
	put(t, filepath.Join(dir, "apiserver.crt"), cert)
	put(t, filepath.Join(dir, "apiserver.key"), key)
	c.must(t, "start", "--name", c.Name)
	c.must(t, "get", "pods")
}

func put(t *testing.T, file string, data []byte) {
	t.Helper()
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func takenPort(t *testing.T, c *Cluster) {
	_, port, _ := net.SplitHostPort(c.listen(t).Addr().String())
	c.refused(t, []string{"up", "--name", c.Name + "x", "--port", port}, "--port "+port, "in use by pid "+fmt.Sprint(os.Getpid()))
	_, port, _ = net.SplitHostPort(c.config(t).Listen)
	c.refused(t, []string{"up", "--name", c.Name + "x", "--port", port}, "--port "+port, fmt.Sprintf("belongs to cluster %q", c.Name))
	if _, err := os.Stat(c.Root() + "x"); err == nil {
		t.Error("something was left of a cluster that never was")
	}
}

// second is a cluster with the longest name, begun by a ctl that is killed, and removed after everything of it was killed.
func second(t *testing.T, c *Cluster) {
	other := *c
	other.Name = (c.Name + strings.Repeat("x", 20))[:20]
	before := other.traces(t)
	ctx, kill := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = other.CtlContext(ctx, "", "up", "--name", other.Name)
	}()
	eventually(t, 10*time.Second, func() (bool, string) {
		_, err := os.Stat(filepath.Join(other.Root(), "processes.json"))
		return err == nil, "nothing has begun"
	})
	kill()
	<-ended
	other.must(t, "up", "--name", other.Name)
	says(t, other.must(t, "config", "get-contexts"), c.Name, other.Name)
	says(t, other.must(t, "up", "--name", other.Name, "--nodes", "1"), "runs already", "nothing to do")
	if a, b := c.config(t), other.config(t); a.Listen == b.Listen || a.ClusterCIDR.Overlaps(b.ClusterCIDR) || a.ServiceCIDR.Overlaps(b.ServiceCIDR) {
		t.Errorf("they meet: %+v and %+v", a, b)
	}

	for name, pid := range other.pids(t) {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Errorf("kill %s: %v", name, err)
		}
	}
	other.must(t, "down", "--yes", "--name", other.Name)
	if after := other.traces(t); strings.Join(after, "\n") != strings.Join(before, "\n") {
		t.Errorf("left behind:\n%s\nbefore:\n%s", strings.Join(after, "\n"), strings.Join(before, "\n"))
	}
	other.refused(t, []string{"down", "--yes", "--name", other.Name}, "no such cluster", "ctl up --name "+other.Name)
	c.must(t, "config", "use-context", c.Name)
	c.must(t, "get", "pods")
}

// config is what cluster.json says.
func (c *Cluster) config(t *testing.T) (is cluster.Config) {
	t.Helper()
	decode(t, read(t, filepath.Join(c.Root(), "cluster.json")), &is)
	return is
}

// services is the beginning of the Services' addresses, "10.96.0.": another cluster on the machine makes this one take other ranges.
func (c *Cluster) services(t *testing.T) string {
	t.Helper()
	return strings.TrimSuffix(c.config(t).ServiceCIDR.Addr().String(), "0")
}

func read(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func (c *Cluster) pids(t *testing.T) map[string]int {
	t.Helper()
	pids, err := c.PIDs()
	if err != nil {
		t.Fatal(err)
	}
	return pids
}

func badDatabase(t *testing.T, c *Cluster) {
	file := filepath.Join(c.Root(), "store.db")
	c.must(t, "stop", "--name", c.Name)
	good := read(t, file)
	newer := func() []byte {
		db, err := bbolt.Open(file, 0o600, nil)
		if err != nil {
			t.Fatal(err)
		}
		err = db.Update(func(tx *bbolt.Tx) error { return tx.Bucket([]byte("meta")).Put([]byte("format"), []byte("999")) })
		if err := errors.Join(err, db.Close()); err != nil {
			t.Fatal(err)
		}
		return []byte(read(t, file))
	}()
	for _, row := range []struct {
		name  string
		data  []byte
		words []string
	}{
		{"truncated", []byte(good[:5*4096]), []string{"truncated", "restore it from a backup"}},
		{"foreign", bytes.Repeat([]byte("no database "), 5000), []string{"not a bbolt file"}},
		{"newer", newer, []string{"999"}},
	} {
		put(t, file, row.data)
		c.refused(t, []string{"start", "--name", c.Name}, append(row.words, file, "apiserver cannot run")...)
		if pids := c.pids(t); len(pids) != 1 { // the supervisor's old one
			t.Errorf("%s: after the failure these run: %v", row.name, pids)
		}
		if read(t, file) != string(row.data) {
			t.Errorf("%s: the file was changed", row.name)
		}
	}
	put(t, file, []byte(good))
	c.must(t, "start", "--name", c.Name)
}

func stopStart(t *testing.T, c *Cluster) {
	says(t, c.must(t, "start", "--name", c.Name), "runs already")
	pids := c.pids(t)
	if err := syscall.Kill(pids["supervisor"], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	says(t, c.must(t, "stop", "--name", c.Name), "is stopped")
	for name, pid := range pids {
		if stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); err == nil && !strings.Contains(string(stat), ") Z ") {
			t.Errorf("%s lives after stop without its supervisor", name)
		}
	}
	says(t, c.must(t, "stop", "--name", c.Name), "does not run", "ctl start")
	c.refused(t, []string{"get", "pods"}, "is the cluster running?", "ctl start")
	c.must(t, "start", "--name", c.Name)
}

func garbled(t *testing.T, c *Cluster) {
	file := filepath.Join(c.Root(), "cluster.json")
	put(t, file, []byte(`{"name": `))
	for _, command := range []string{"up", "start", "stop"} {
		c.refused(t, []string{command, "--name", c.Name}, file, "ctl down --name "+c.Name)
	}
}
