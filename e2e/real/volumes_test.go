package real

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

const withVolumes = `
{apiVersion: v1, kind: ConfigMap, metadata: {name: settings}, data: {colour: blue}}
---
{apiVersion: v1, kind: Secret, metadata: {name: login}, stringData: {password: secret}}
---
apiVersion: v1
kind: Pod
metadata: {name: full, labels: {app: full}}
spec:
  terminationGracePeriodSeconds: 1
  securityContext: {fsGroup: 4711}
  volumes:
  - {name: settings, configMap: {name: settings}}
  - {name: late, configMap: {name: late, optional: true}}
  - {name: login, secret: {secretName: login, defaultMode: 0400}}
  - {name: shared, emptyDir: {}}
  - {name: fast, emptyDir: {medium: Memory, sizeLimit: 1Mi}}
  - {name: host, hostPath: {path: HOST, type: DirectoryOrCreate}}
  initContainers:
  - {name: first, image: "optimist/busybox:1", command: [sh, -c, 'mkdir -p /s/part; chmod 2775 /s/part; echo init > /s/part/file'], volumeMounts: [{name: shared, mountPath: /s}]}
  containers:
  - name: a
    image: optimist/busybox:1
    command: [sh, -c, 'trap exit TERM; sleep 3600 & wait']
    volumeMounts:
    - {name: settings, mountPath: /settings}
    - {name: settings, mountPath: /one, subPath: colour}
    - {name: late, mountPath: /late}
    - {name: login, mountPath: /login}
    - {name: shared, mountPath: /s}
    - {name: fast, mountPath: /fast}
    - {name: host, mountPath: /host, subPath: deep/er}
  - name: b
    image: optimist/busybox:1
    command: [sh, -c, 'trap exit TERM; sleep 3600 & wait']
    securityContext: {runAsUser: 1001}
    volumeMounts: [{name: shared, mountPath: /part, subPath: part}]
---
apiVersion: v1
kind: Pod
metadata: {name: waits, labels: {app: waits}}
spec:
  terminationGracePeriodSeconds: 1
  volumes: [{name: v, configMap: {name: nobody}}]
  containers: [{name: a, image: "optimist/busybox:1", command: [sh, -c, 'trap exit TERM; sleep 3600 & wait'], volumeMounts: [{name: v, mountPath: /v}]}]
`

// A pod has its volumes, sees what changes in them, and knows the API server, which knows it. A killed agent loses nothing of that; a deleted pod leaves
// nothing behind but what is the machine's own.
func TestVolumes(t *testing.T) {
	c, host := up(t), t.TempDir()
	if out, err := c.CtlContext(t.Context(), strings.ReplaceAll(withVolumes, "HOST", host), "apply", "-f", "-"); err != nil || strings.Contains(out, "Warning") {
		t.Fatalf("%v: %s", err, out)
	}
	eventually(t, time.Minute, func() (bool, string) { return c.ready(t, "app=full", 1) })
	sees := func(container, script, want string) {
		t.Helper()
		eventually(t, 20*time.Second, func() (bool, string) {
			out, err := c.Ctl("exec", "full", "-c", container, "--", "sh", "-c", script)
			return err == nil && strings.TrimSpace(out) == want, script + " says " + out
		})
	}
	sees("a", "cat /settings/colour /one /login/password", "bluebluesecret")
	sees("a", "stat -c '%a %g' /login/..data/password", "440 4711")
	sees("a", "ls /late; touch /settings/x 2>&1; true", "touch: /settings/x: Read-only file system")
	sees("b", "cat /part/file; id -G", "init\n0 4711")
	sees("b", "echo b > /part/new; echo", "")
	sees("a", "cat /s/part/new; stat -c %g /s/part/new", "b\n4711")
	sees("a", "grep -c ' /fast tmpfs' /proc/mounts; dd if=/dev/zero of=/fast/big bs=1k count=2000 2>&1 | grep -o 'No space left on device'", "1\nNo space left on device")
	sees("a", "echo mine > /host/file; echo", "")
	c.knowsItself(t)

	// What waits says for what, and goes on as soon as that is there.
	eventually(t, 20*time.Second, func() (bool, string) {
		out, _ := c.Ctl("why", "pod", "waits")
		return strings.Contains(out, `waits for its volume v: configmap "nobody" not found`), out
	})
	if events := c.must(t, "get", "events"); !strings.Contains(events, `MountVolume.SetUp failed for volume "v" : configmap "nobody" not found`) {
		t.Error(events)
	}
	c.must(t, "create", "configmap", "nobody", "--from-literal=k=v")
	eventually(t, 20*time.Second, func() (bool, string) { return c.ready(t, "app=waits", 1) })

	// Changes arrive; a part of a volume stays as it was mounted.
	change := func(colour string) {
		t.Helper()
		c.must(t, "patch", "configmap", "settings", "--type=merge", "-p", `{"data":{"colour":"`+colour+`","more":"x"}}`)
		sees("a", "cat /settings/colour /settings/more /one", colour+"xblue")
	}
	change("red")
	c.must(t, "create", "configmap", "late", "--from-literal=k=v")
	sees("a", "cat /late/k", "v")
	pids := c.pids(t)
	for name, pid := range pids {
		if strings.HasPrefix(name, "agent") {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				t.Fatal(name, err)
			}
		}
	}
	change("green")
	sees("a", "cat /s/part/new /login/password", "b\nsecret")

	c.must(t, "delete", "pod", "full", "waits")
	if left, _ := filepath.Glob(c.Root() + "/agent-*/pods/*"); len(left) > 0 {
		t.Error("of the pods is left", left)
	}
	if mounts, _ := os.ReadFile("/proc/self/mountinfo"); strings.Contains(string(mounts), c.Root()+"/agent-") {
		t.Error("still mounted:\n", string(mounts))
	}
	if text := read(t, filepath.Join(host, "deep/er/file")); text != "mine\n" {
		t.Errorf("the machine's own file is %q", text)
	}
}

// knowsItself calls the API server with what every pod has for that.
func (c *Cluster) knowsItself(t *testing.T) {
	t.Helper()
	const at = "/var/run/secrets/kubernetes.io/serviceaccount/"
	file := func(name string) string { return c.must(t, "exec", "full", "-c", "a", "--", "cat", at+name) }
	if ns := file("namespace"); ns != "default" {
		t.Error("its namespace is", ns)
	}
	roots := x509.NewCertPool()
	if ca := file("ca.crt"); !roots.AppendCertsFromPEM([]byte(ca)) {
		t.Fatal("no certificate: ", ca)
	}
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots},
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return c.Dial(ctx, c.services(t)+"1:443") }}}
	defer client.CloseIdleConnections()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://kubernetes.default.svc/api/v1/namespaces/default/pods", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+file("token"))
	answer, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusForbidden || !strings.Contains(string(body), `User \"system:serviceaccount:default:default\" cannot list resource \"pods\"`) {
		t.Errorf("%s: %s %v; token %q", answer.Status, body, err, file("token"))
	}
}
