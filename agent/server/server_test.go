package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"optimist/agent/runtime"
	"optimist/agent/runtime/sim"
	"optimist/internal/api"
	"optimist/internal/console"
	"optimist/internal/wire"
)

// onePod is a node with one Pod; it is its own cache.
type onePod struct {
	*sim.Runtime
	pod *corev1.Pod
}

func (o onePod) Get(key api.Key) (*corev1.Pod, bool) { return o.pod, key == api.KeyOf(o.pod) }

// aNode runs a pod with the containers "web", which prints one, two and three and lives, and "job", which has failed once.
func aNode(t *testing.T) *Server {
	o := onePod{sim.New(), &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "p", UID: "u"}}}
	o.pod.Spec.Containers = []corev1.Container{{Name: "web"}, {Name: "job"}, {Name: "never"}}
	ctx := t.Context()
	_, err := o.Pull(ctx, "x", runtime.Credentials{})
	_, err2 := o.StartSandbox(ctx, runtime.SandboxSpec{Pod: "u", Name: "p"})
	start := func(name string, attempt int, args ...string) error {
		return o.StartContainer(ctx, runtime.ContainerSpec{ID: runtime.ContainerID{Pod: "u", Name: name, Attempt: attempt}, Image: "x", Args: args})
	}
	if err := errors.Join(err, err2, start("web", 0, "sim:print=one", "sim:print=two", "sim:print=three", "sim:after=1m", "sim:http=80"),
		start("job", 0, "sim:print=first", "sim:exit=1"), start("job", 1, "sim:print=second", "sim:exit=1")); err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
	_, ring := console.New("agent")
	if _, err := ring.Write([]byte("hello from the agent\n")); err != nil {
		t.Fatal(err)
	}
	return New(Config{Node: "n1", Address: func() string { return "192.0.2.1" }, Pods: o, Runtime: o.Runtime, Console: ring})
}

// ask connects and returns all output followed by the outcome; or the refusal.
func ask(t *testing.T, s *Server, kind *api.Kind, sub, query, stdin string) string {
	t.Helper()
	params, err := url.ParseQuery(query)
	if err != nil {
		t.Fatal(err)
	}
	key := api.Key{Namespace: "default", Name: "p"}
	if !kind.Namespaced {
		key = api.Key{Name: "n1"}
	}
	stream, err := s.Connect(t.Context(), api.Target{Kind: kind, Key: key, Sub: sub}, params)
	if err != nil {
		return "refused: " + err.Error()
	}
	if stdin != "" {
		if err := stream.Send(api.Frame{Channel: api.ChannelStdin, Data: []byte(stdin)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	return receive(t, stream)
}

func receive(t *testing.T, stream api.Stream) string {
	t.Helper()
	var out bytes.Buffer
	for {
		f, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return out.String()
		}
		if err != nil {
			t.Fatal(err)
		}
		if f.Channel != api.ChannelError {
			out.Write(f.Data)
			continue
		}
		var status metav1.Status
		if err := json.Unmarshal(f.Data, &status); err != nil {
			t.Fatal(err)
		}
		out.WriteString(status.Status)
		if status.Details != nil {
			for _, c := range status.Details.Causes {
				fmt.Fprintf(&out, " %s=%s", c.Type, c.Message)
			}
		}
	}
}

const answered = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 21\r\nConnection: close\r\n\r\nweb of pod p: GET /x\n"

func TestAnswers(t *testing.T) {
	for _, row := range []struct {
		name             string
		kind             *api.Kind
		sub, query, want string
		stdin            string
	}{
		{"a log", api.PodKind, "log", "container=web", "one\ntwo\nthree\nSuccess", ""},
		{"its last lines", api.PodKind, "log", "container=web&tailLines=2", "two\nthree\nSuccess", ""},
		{"no lines", api.PodKind, "log", "container=web&tailLines=0", "Success", ""},
		{"so many bytes", api.PodKind, "log", "container=web&limitBytes=5", "one\ntSuccess", ""},
		{"with times", api.PodKind, "log", "container=web&tailLines=1&timestamps=true", "2000-01-01T00:00:00Z three\nSuccess", ""},
		{"only what is new", api.PodKind, "log", "container=web&sinceTime=2000-01-01T00:00:01Z", "Success", ""},
		{"followed to its end", api.PodKind, "log", "container=web&follow=true", "one\ntwo\nthree\nSuccess", ""},
		{"the newest attempt", api.PodKind, "log", "container=job", "second\nSuccess", ""},
		{"the attempt before", api.PodKind, "log", "container=job&previous=true", "first\nSuccess", ""},
		{"there is none before the first", api.PodKind, "log", "container=web&previous=true", `refused: previous terminated container "web" in pod "p" not found`, ""},
		{"a container must be named among several", api.PodKind, "log", "", "refused: a container name must be specified for pod p, choose one of: [web job never]", ""},
		{"an unknown container", api.PodKind, "log", "container=x", "refused: container x is not valid for pod p, choose one of: [web job never]", ""},
		{"a container that has not started", api.PodKind, "log", "container=never", `refused: container "never" in pod "p" is waiting to start: ContainerCreating`, ""},
		{"a bad number", api.PodKind, "log", "container=web&tailLines=-1", `refused: tailLines="-1": must be a number, 0 or greater`, ""},
		{"a process", api.PodKind, "exec", "container=web&command=echo&command=hi&stdout=true", "hi\nSuccess", ""},
		{"its exit code", api.PodKind, "exec", "container=web&command=exit&command=3", "Failure ExitCode=3", ""},
		{"its standard input", api.PodKind, "exec", "container=web&command=cat&stdin=true", "from here\nSuccess", "from here\n"},
		{"input that nobody wants is no harm", api.PodKind, "exec", "container=web&command=echo&command=hi", "hi\nSuccess", "unwanted"},
		{"no process in what has ended", api.PodKind, "exec", "container=job&command=echo", "refused: container job of pod p does not run; it ended with exit code 1", ""},
		{"attach tells only what comes", api.PodKind, "attach", "container=web", "Success", ""},
		{"attach has no input", api.PodKind, "attach", "container=web&stdin=true", "refused: the standard input of container web cannot be attached to; use exec for a process with one", ""},
		{"a simulated node keeps no images", api.NodeKind, "images", "", "refused: node n1 keeps no images: its containers are simulated, and every image exists there", ""},
		{"the agent's own log", api.NodeKind, "log", "", "hello from the agent\nSuccess", ""},
		{"a port of the pod", api.PodKind, "portforward", "port=80", answered + "Success", "GET /x HTTP/1.1\nHost: a\n\n"},
		{"a port to browse", api.PodKind, "proxy", "port=80", answered + "Success", "GET /x HTTP/1.1\nHost: a\n\n"},
		{"could a port be forwarded?", api.PodKind, "portforward", "", "Success", ""},
		{"nobody listens", api.PodKind, "portforward", "port=81", "refused: failed to connect to localhost:81 inside the network of pod p: dial tcp 127.0.0.1:81: connection refused", ""},
		{"nobody to browse", api.PodKind, "proxy", "port=81", "refused: error trying to reach service: dial tcp 127.0.0.1:81: connection refused", ""},
		{"no port", api.PodKind, "portforward", "port=0", `refused: port="0": must be a number from 1 to 65535`, ""},
		{"a node itself", api.NodeKind, "proxy", "port=", "refused: the agent of node n1 serves no HTTP; name the port of a program on the node, as in nodes/n1:9100/proxy", ""},
		{"a simulated node", api.NodeKind, "proxy", "port=80", "refused: error trying to reach service: the node is simulated: nothing listens on it", ""},
		{"what nobody answers", api.PodKind, "nonsense", "", "refused: the agent of node n1 does not answer Pod/nonsense", ""},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := aNode(t)
			time.Sleep(time.Millisecond) // attach asks for what is printed from now on
			if got := ask(t, s, row.kind, row.sub, row.query, row.stdin); got != row.want {
				t.Errorf("%s:\ngot  %q\nwant %q", row.name, got, row.want)
			}
			time.Sleep(time.Minute) // what still runs ends
		})
	}
}

func TestAProcessThatDoesNotExistIsAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got := ask(t, aNode(t), api.PodKind, "exec", "container=web&command=nonsense", "")
		if !strings.HasPrefix(got, "Failure") {
			t.Errorf("outcome = %q", got)
		}
		time.Sleep(time.Minute)
	})
}

func TestAnExitCodeIsAnOutcome(t *testing.T) {
	s := wire.Status(fmt.Errorf("exec: %w", exitError(3)))
	if s.Reason != "NonZeroExitCode" || s.Message != "command terminated with non-zero exit code: exit status 3" || s.Details.Causes[0].Message != "3" {
		t.Errorf("got %+v", s)
	}
}
