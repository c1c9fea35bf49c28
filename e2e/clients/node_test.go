package clients

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	restclient "k8s.io/client-go/rest"

	agentruntime "optimist/agent/runtime"
	"optimist/agent/runtime/sim"
	"optimist/agent/server"
	"optimist/apiserver/door/rest"
	"optimist/internal/api"
)

// node is the agent of a node whose one pod, "p", runs Go functions and has the test machine's loopback as its network.
type node struct {
	*sim.Runtime
	agent *server.Server
	pod   *corev1.Pod
	alive atomic.Int32 // processes
}

func (n *node) Get(key api.Key) (*corev1.Pod, bool) { return n.pod, key == api.KeyOf(n.pod) }

// behind is what the door needs of an api.Service for streams.
type behind struct {
	api.Service
	*node
}

func (b behind) Get(context.Context, api.Target, api.GetOptions) (api.Result, error) {
	panic("no objects here")
}

func (b behind) Connect(ctx context.Context, t api.Target, params url.Values) (api.Stream, error) {
	if t.Sub == "proxy" { // the registry does this
		_, name, port, _ := utilnet.SplitSchemeNamePort(t.Key.Name)
		t.Key.Name, params = name, url.Values{"port": {port}}
	}
	return b.agent.Connect(ctx, t, params)
}

func (n *node) Dial(ctx context.Context, _ types.UID, port int) (io.ReadWriteCloser, error) {
	return new(net.Dialer).DialContext(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
}

var programs = map[string]func(ctx context.Context, p agentruntime.Process) (int, error){
	"cat": func(_ context.Context, p agentruntime.Process) (int, error) {
		_, err := io.Copy(p.Stdout, p.Stdin)
		return 0, err
	},
	"exit": func(_ context.Context, p agentruntime.Process) (int, error) { return strconv.Atoi(p.Command[1]) },
	"both": func(_ context.Context, p agentruntime.Process) (int, error) {
		for i := range 1000 {
			fmt.Fprintf(p.Stdout, "out %d %s\n", i, strings.Repeat("o", 1000))
			fmt.Fprintf(p.Stderr, "err %d %s\n", i, strings.Repeat("e", 1000))
		}
		return 0, nil
	},
	"sizes": func(_ context.Context, p agentruntime.Process) (int, error) {
		for range 2 {
			size := <-p.Resize
			fmt.Fprintf(p.Stdout, "%dx%d\n", size.Width, size.Height)
		}
		return 0, nil
	},
	"yes": func(ctx context.Context, p agentruntime.Process) (int, error) {
		for {
			if _, err := fmt.Fprintln(p.Stdout, "y"); err != nil {
				return 0, err
			}
		}
	},
	"wait": func(ctx context.Context, _ agentruntime.Process) (int, error) { <-ctx.Done(); return 0, ctx.Err() },
	"deaf": func(_ context.Context, p agentruntime.Process) (int, error) {
		fmt.Fprintln(p.Stdout, "I do not listen")
		return 0, nil
	},
}

func (n *node) Exec(ctx context.Context, _ agentruntime.ContainerID, p agentruntime.Process) (int, error) {
	n.alive.Add(1)
	defer n.alive.Add(-1)
	run := programs[p.Command[0]]
	if run == nil {
		return 0, fmt.Errorf("exec: %q: executable file not found in $PATH", p.Command[0])
	}
	return run(ctx, p)
}

// ours are the goroutines of the product; client-go leaves some of its own behind.
func ours() (stacks string) {
	all := make([]byte, 4<<20)
	for stack := range strings.SplitSeq(string(all[:runtime.Stack(all, true)]), "\n\n") {
		if strings.Contains(stack, "optimist/apiserver/") || strings.Contains(stack, "optimist/agent/") || strings.Contains(stack, "optimist/internal/") {
			stacks += stack + "\n\n"
		}
	}
	return stacks
}

// aDoor is a REST door before such a node, and how to reach it. It fails the test if goroutines are left behind.
func aDoor(t *testing.T) (*node, *restclient.Config) {
	n := &node{Runtime: sim.New(), pod: &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "p", UID: "u"}}}
	n.pod.Spec.Containers = []corev1.Container{{Name: "c"}}
	_, err := n.Pull(t.Context(), "x", agentruntime.Credentials{})
	_, err2 := n.StartSandbox(t.Context(), agentruntime.SandboxSpec{Pod: "u", Name: "p"})
	err3 := n.StartContainer(t.Context(), agentruntime.ContainerSpec{ID: agentruntime.ContainerID{Pod: "u", Name: "c"}, Image: "x", Args: []string{"sim:print=one", "sim:print=two"}})
	if err := errors.Join(err, err2, err3); err != nil {
		t.Fatal(err)
	}
	n.agent = server.New(server.Config{Node: "n1", Address: func() string { return "127.0.0.1" }, Pods: n, Runtime: n})
	s := httptest.NewTLSServer(rest.New(rest.Config{Service: behind{node: n}, Catalogue: api.Builtin,
		Identify: func(context.Context, tls.ConnectionState, string, net.Addr) (api.User, error) {
			return api.User{Name: "somebody"}, nil
		}}))
	t.Cleanup(func() {
		s.Close()
		for end := time.Now().Add(15 * time.Second); ours() != "" || n.alive.Load() > 0; time.Sleep(20 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%d processes are left, and goroutines:\n%s", n.alive.Load(), ours())
			}
		}
	})
	return n, &restclient.Config{Host: s.URL, TLSClientConfig: restclient.TLSClientConfig{Insecure: true}, BearerToken: "secret"}
}
