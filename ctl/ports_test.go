package ctl

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/url"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"optimist/agent/runtime"
	"optimist/agent/runtime/sim"
	"optimist/agent/server"
	"optimist/internal/api"
)

// host is a node whose one pod runs the test machine's programs, and has its loopback.
type host struct{ *sim.Runtime }

func (host) Exec(ctx context.Context, _ runtime.ContainerID, p runtime.Process) (int, error) {
	c := osexec.CommandContext(ctx, p.Command[0], p.Command[1:]...)
	c.Stdin, c.Stdout, c.Stderr = p.Stdin, p.Stdout, p.Stderr
	err := c.Run()
	if _, ended := errors.AsType[*osexec.ExitError](err); ended {
		return c.ProcessState.ExitCode(), nil
	}
	return 0, err
}

func (host) Dial(ctx context.Context, _ types.UID, port int) (io.ReadWriteCloser, error) {
	return new(net.Dialer).DialContext(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
}

var thePod = &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "p", UID: "u"}, Status: corev1.PodStatus{Phase: corev1.PodRunning},
	Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 8080}}}}}}

type thePods struct{}

func (thePods) Get(key api.Key) (*corev1.Pod, bool) { return thePod, key == api.KeyOf(thePod) }

// onHost is the API server before it.
type onHost struct {
	api.Service
	agent *server.Server
}

func (o onHost) Get(_ context.Context, t api.Target, _ api.GetOptions) (api.Result, error) {
	if t.Key != api.KeyOf(thePod) {
		return api.Result{}, t.Kind.NotFound(t.Key.Name)
	}
	return api.Result{Object: thePod}, nil
}

func (o onHost) Connect(ctx context.Context, t api.Target, params url.Values) (api.Stream, error) {
	return o.agent.Connect(ctx, t, params)
}

func newHost(t *testing.T) onHost {
	r := sim.New()
	_, err := r.Pull(t.Context(), "x", runtime.Credentials{})
	_, err2 := r.StartSandbox(t.Context(), runtime.SandboxSpec{Pod: "u", Name: "p"})
	if err := errors.Join(err, err2, r.StartContainer(t.Context(), runtime.ContainerSpec{ID: runtime.ContainerID{Pod: "u", Name: "c"}, Image: "x"})); err != nil {
		t.Fatal(err)
	}
	return onHost{agent: server.New(server.Config{Node: "n1", Address: func() string { return "127.0.0.1" }, Pods: thePods{}, Runtime: host{r}})}
}

func TestPortPairs(t *testing.T) {
	service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "web"}, Spec: corev1.ServiceSpec{ClusterIP: "10.96.0.9", Ports: []corev1.ServicePort{
		{Name: "web", Port: 80, TargetPort: intstr.FromString("http")}, {Name: "raw", Port: 81, TargetPort: intstr.FromInt32(9000)}}}}
	headless := service.DeepCopy()
	headless.Spec.ClusterIP = corev1.ClusterIPNone
	for _, row := range []struct {
		arg     string
		service *corev1.Service
		want    string
	}{
		{"80", nil, "[80 80]"}, {"8080:80", nil, "[8080 80]"}, {":80", nil, "[0 80]"}, {"0:80", nil, "[0 80]"},
		{"http", nil, "[8080 8080]"}, {"1:http", nil, "[1 8080]"},
		{"80", service, "[80 8080]"}, {"9:web", service, "[9 8080]"}, {"raw", service, "[81 9000]"}, {":81", service, "[0 9000]"}, {"81", headless, "[81 81]"},
		{"82", service, "service web does not have a service port 82"},
		{"grpc", nil, `"grpc": "grpc" is no port, from 1 to 65535 or the name of one of pod p's; want [LOCAL_PORT:]REMOTE_PORT`},
		{"70000", nil, `"70000": "70000" is no port`}, {"a:80", nil, `"a:80": "a" is no port`}, {"80:0", nil, `"80:0": "0" is no port`}, {"80:", nil, `"80:": "" is no port`},
	} {
		pair, err := portPair(row.arg, thePod, row.service)
		got := fmt.Sprint(pair)
		if err != nil {
			got = err.Error()
		}
		if !strings.HasPrefix(got, row.want) {
			t.Errorf("%s: %s; want %s", row.arg, got, row.want)
		}
	}
}

// lineWriter hands out what is printed, line by line.
type lineWriter chan string

func (l lineWriter) Write(p []byte) (int, error) { l <- string(p); return len(p), nil }

func TestPortForward(t *testing.T) {
	echo, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer echo.Close()
	go func() {
		for {
			c, err := echo.Accept()
			if err != nil {
				return
			}
			all, _ := io.ReadAll(c)
			_, _ = c.Write(bytes.ToUpper(all))
			c.Close()
		}
	}()
	_, port, _ := net.SplitHostPort(echo.Addr().String())
	ctx, interrupt := context.WithCancel(t.Context())
	said, errs, code := make(lineWriter, 20), make(lineWriter, 20), make(chan int)
	root := Over(newHost(t))
	root.SetOut(said)
	root.SetErr(errs)
	go func() {
		code <- Run(ctx, root, []string{"port-forward", "pod/p", ":" + port, ":1", "--address", "127.0.0.1"})
	}()
	address := func() string {
		line := <-said
		from, to, _ := strings.Cut(strings.TrimPrefix(line, "Forwarding from "), " -> ")
		if to != port+"\n" && to != "1\n" {
			t.Fatalf("said %q", line)
		}
		return from
	}
	works, refused := address(), address()
	talk := func(address string) string {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_, _ = conn.Write([]byte("hello"))
		_ = conn.(*net.TCPConn).CloseWrite()
		answer, _ := io.ReadAll(conn)
		return string(answer)
	}
	for range 2 {
		if got := talk(works); got != "HELLO" {
			t.Errorf("answered %q", got)
		}
		if line := <-said; !strings.HasPrefix(line, "Handling connection for ") {
			t.Errorf("said %q", line)
		}
	}
	if got := talk(refused); got != "" {
		t.Errorf("answered %q", got)
	}
	if line := <-errs; !strings.Contains(line, "-> 1: failed to connect to localhost:1 inside the network of pod p") {
		t.Errorf("said %q", line)
	}
	interrupt()
	if got := <-code; got != 0 {
		t.Errorf("exit code %d", got)
	}
}

// holds is what a folder holds: files with their text, links with their aim.
func holds(t *testing.T, folder string) (all string) {
	err := filepath.WalkDir(folder, func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, _ := filepath.Rel(folder, file)
		if to, err := os.Readlink(file); err == nil {
			all += name + "→" + to + " "
			return nil
		}
		text, err := os.ReadFile(file)
		all += name + "=" + string(text) + " "
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(all)
}

func TestCopy(t *testing.T) {
	for _, row := range []struct {
		name, from, to string // HERE and THERE are folders
		want           string // in THERE or HERE, whichever is the destination
		says           string
	}{
		{"a file", "HERE/a", "p:THERE/x", "x=A", ""},
		{"into a folder", "HERE/a", "default/p:THERE", "a=A", ""},
		{"a folder", "HERE/d", "p:THERE/e", "e/b=B e/deep/c=C e/l→b", ""},
		{"a folder into a folder", "HERE/d", "p:THERE", "d/b=B d/deep/c=C d/l→b", ""},
		{"back", "p:HERE/a", "THERE/x", "x=A", ""},
		{"back into a folder", "p:HERE/a", "THERE", "a=A", ""},
		{"a folder back, but no link", "p:HERE/d", "THERE/new/e", "new/e/b=B new/e/deep/c=C", `skipping "`},
		{"what is not there", "p:HERE/z", "THERE/z", "", "command terminated with exit code 2"},
		{"what is not here", "HERE/z", "p:THERE/z", "", "doesn't exist in local filesystem"},
		{"where nothing is", "HERE/a", "p:THERE/no/such/folder", "", "command terminated with exit code 2"},
		{"both here", "HERE/a", "THERE/a", "", "one of src or dest must be a local file specification"},
		{"both there", "p:HERE/a", "p:THERE/a", "", "one of src or dest must be a local file specification"},
		{"no pod", ":HERE/a", "THERE/a", "", "filespec must match the canonical format"},
		{"no path", "p:", "THERE/a", "", "filepath can not be empty"},
		{"no such pod", "q:HERE/a", "THERE/a", "", `pods "q" not found`},
	} {
		t.Run(row.name, func(t *testing.T) {
			here, there := t.TempDir(), t.TempDir()
			for name, text := range map[string]string{"a": "A", "d/b": "B", "d/deep/c": "C"} {
				_ = os.MkdirAll(filepath.Dir(filepath.Join(here, name)), 0o755)
				if err := os.WriteFile(filepath.Join(here, name), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.Symlink("b", filepath.Join(here, "d/l")); err != nil {
				t.Fatal(err)
			}
			place := strings.NewReplacer("HERE", here, "THERE", there)
			root, errs := Over(newHost(t)), &bytes.Buffer{}
			root.SetErr(errs)
			Run(t.Context(), root, []string{"cp", place.Replace(row.from), place.Replace(row.to)})
			if got := holds(t, there); got != row.want || !strings.Contains(errs.String(), row.says) || row.says == "" && strings.Contains(errs.String(), "rror") {
				t.Errorf("copied %q; want %q; said %s", got, row.want, errs)
			}
		})
	}
}

// A container may send any archive.
func TestUnpackNothingElsewhere(t *testing.T) {
	for _, row := range []struct {
		name    string
		headers []tar.Header
		want    string
	}{
		{"as asked", []tar.Header{{Name: "src/"}, {Name: "src/f"}}, "to/dst/f=x"},
		{"up and away", []tar.Header{{Name: "src/../../f"}, {Name: "../f"}, {Name: "/etc/f"}, {Name: "src/../f"}}, ""},
		{"another's name", []tar.Header{{Name: "src2/f"}}, ""},
		{"through a link", []tar.Header{{Name: "src/l", Typeflag: tar.TypeSymlink, Linkname: ".."}, {Name: "src/l/f"}}, "to/dst/l/f=x"},
		{"two names", []tar.Header{{Name: "src/f"}, {Name: "src/g", Typeflag: tar.TypeLink, Linkname: "src/f"}}, "to/dst/f=x to/dst/g=x"},
		{"a name for what is elsewhere", []tar.Header{{Name: "src/g", Typeflag: tar.TypeLink, Linkname: "../secret"}}, ""},
		{"a device", []tar.Header{{Name: "src/d", Typeflag: tar.TypeChar}}, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			var archive bytes.Buffer
			w := tar.NewWriter(&archive)
			for _, h := range row.headers {
				text := []byte("x")
				if h.Mode = 0o644; strings.HasSuffix(h.Name, "/") || h.Typeflag != 0 {
					text = nil
				}
				h.Size = int64(len(text))
				if err := w.WriteHeader(&h); err != nil {
					t.Fatal(err)
				}
				_, _ = w.Write(text)
			}
			w.Close()
			dir := t.TempDir()
			if err := unpack(io.Discard, &archive, "/src", filepath.Join(dir, "to/dst")); err != nil {
				t.Log(err)
			}
			if got := holds(t, dir); got != row.want {
				t.Errorf("%q; want %q", got, row.want)
			}
		})
	}
}

// What lies in the way locally may lead outside; nothing follows it.
func TestUnpackThroughALinkOfOurs(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	if err := os.Symlink(outside, filepath.Join(dir, "dst")); err != nil {
		t.Fatal(err)
	}
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	_ = w.WriteHeader(&tar.Header{Name: "src/f", Mode: 0o644, Size: 1})
	_, _ = w.Write([]byte("x"))
	w.Close()
	if err := unpack(io.Discard, &archive, "src", filepath.Join(dir, "dst")); err == nil || holds(t, outside) != "" {
		t.Errorf("%v; outside is %q", err, holds(t, outside))
	}
}
