package real

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"optimist/examples/images/build"
	"optimist/internal/api"
	"optimist/internal/client"
)

// TestClients runs two unmodified programs of client-go and controller-runtime as pods, with the tokens of their ServiceAccount, while the API server
// is killed twice. The informer's handlers must be told each of the writes once and in order.
func TestClients(t *testing.T) {
	const objects, rounds = 5, 30
	c := up(t)
	for _, program := range []string{"informer", "mirror"} {
		path := filepath.Join(c.Bin, program)
		if _, err := os.Stat(path); err != nil {
			t.Skip("SKIPPED: needs bin/informer and bin/mirror: run make tools first")
		}
		archive := filepath.Join(t.TempDir(), program+".tar")
		if err := build.Program("test/"+program+":1", path).WriteFile(archive); err != nil {
			t.Fatal(err)
		}
		c.must(t, "image", "load", archive)
	}
	c.must(t, "create", "namespace", "clients")
	c.must(t, "config", "set-context", "--current", "--namespace", "clients")
	c.must(t, "apply", "-f", "testdata/clients.yaml")
	waitFor(t, c, "informer", func(log string) bool { return strings.Contains(log, "SYNCED") })

	svc := c.service(t)
	var want []string
	write := func(n int) {
		for i := range objects {
			m := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "clients", Name: fmt.Sprintf("m%d", i), Labels: map[string]string{"followed": "yes", "mirrored": "yes"}},
				Data: map[string]string{"n": fmt.Sprint(n)}}
			what := "UPDATED"
			if n == 1 {
				what = "ADDED"
			}
			want = append(want, fmt.Sprintf("%s m%d %d", what, i, n))
			if err := Eventually(time.Minute, func() (bool, string) { // the server is away for a moment; a write of the same content changes nothing
				_, err := api.ConfigMaps.Create(t.Context(), svc, m.DeepCopy())
				if n > 1 || err != nil {
					_, err = api.ConfigMaps.Update(t.Context(), svc, m.DeepCopy())
				}
				return err == nil, fmt.Sprint(err)
			}); err != nil {
				t.Fatal(err)
			}
		}
	}
	for n := 1; n <= rounds; n++ {
		if n == rounds/3 || n == 2*rounds/3 {
			pids, err := c.PIDs()
			if err != nil {
				t.Fatal(err)
			}
			if err := syscall.Kill(pids["apiserver"], syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
		}
		write(n)
	}
	for i := range objects {
		name := fmt.Sprintf("m%d", i)
		want = append(want, fmt.Sprintf("DELETED %s %d", name, rounds))
		if err := Eventually(time.Minute, func() (bool, string) { // the mirror has seen the last state
			s, err := api.Secrets.Get(t.Context(), svc, api.Key{Namespace: "clients", Name: name})
			return err == nil && string(s.Data["n"]) == fmt.Sprint(rounds), fmt.Sprint(s, err)
		}); err != nil {
			t.Error(err)
		}
		if err := api.ConfigMaps.Delete(t.Context(), svc, api.Key{Namespace: "clients", Name: name}, api.Options{}); err != nil {
			t.Error(err)
		}
	}
	log := waitFor(t, c, "informer", func(log string) bool { return strings.Count(log, "DELETED") == objects })
	if _, log, _ = strings.Cut(log, "SYNCED\n"); strings.TrimSpace(log) != strings.Join(want, "\n") {
		t.Errorf("the informer was told\n%s\nbut this was written:\n%s", log, strings.Join(want, "\n"))
	}
	if err := Eventually(time.Minute, func() (bool, string) { // the garbage collector has followed the owners
		all, err := api.Secrets.List(t.Context(), svc, "clients", api.ListOptions{})
		return err == nil && len(all) == 0, fmt.Sprint(len(all), err)
	}); err != nil {
		t.Error(err)
	}
	c.must(t, "delete", "-f", "testdata/clients.yaml")
}

// service is a client with the kubeconfig of the cluster.
func (c *Cluster) service(t *testing.T) api.Service {
	t.Helper()
	config, err := client.Load(c.Kubeconfig, c.Name)
	if err != nil {
		t.Fatal(err)
	}
	config.Dial = c.Dial
	svc, err := client.New(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { svc.Close() })
	return svc
}

// waitFor waits for what a pod's log says.
func waitFor(t *testing.T, c *Cluster, pod string, good func(log string) bool) (log string) {
	t.Helper()
	if err := Eventually(90*time.Second, func() (ok bool, why string) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		out, err := c.CtlContext(ctx, "", "logs", pod)
		log = out
		return err == nil && good(out), fmt.Sprint(out, err)
	}); err != nil {
		t.Fatal(err)
	}
	return log
}
