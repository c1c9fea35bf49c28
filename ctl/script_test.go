package ctl_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"optimist/apiserver/journal"
	"optimist/apiserver/registry"
	"optimist/apiserver/registry/kinds"
	"optimist/apiserver/store/memory"
	"optimist/ctl"
	"optimist/internal/api"
	"optimist/internal/console"
)

// Each script has a cluster of its own: a registry over memory, and nobody who acts on it but the script's own words:
//
//	ctl ARGS…  (< FILE last: standard input)   code N          the exit code of the last ctl
//	status KIND/NAME FILE                      what a controller or agent would write to an object's status
//	become KIND/NAME FILE                      the same, as soon as the object is there
//	adopt KIND/NAME OWNER-KIND/NAME            makes an object another's child
//	as USER ctl ARGS…                          the same in another's name; a system:… user does it because of the newest revision
//	forget                                     everything but the newest states
//	node NAME                                  an agent that ends pods as soon as it is asked to, and answers logs, exec and images
func TestScripts(t *testing.T) {
	t.Setenv("HOME", t.TempDir())
	t.Setenv("TMPDIR", t.TempDir())
	t.Setenv("KUBE_EDITOR", "false") // restored when all is over
	t.Setenv("KUBECTL_EXTERNAL_DIFF", "")
	time.Local = time.UTC // the scripts know the times of log lines
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			env.Setenv("NO_COLOR", "1")
			c, err := newCluster()
			env.Values["cluster"] = c
			env.Defer(func() { c.stop() })
			return err
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"ctl": runCtl, "code": checkCode, "status": setStatus, "adopt": adopt, "node": startNode, "as": as, "forget": forget, "become": become,
		},
	})
}

type cluster struct {
	api.Service
	store *memory.Store
	ctx   context.Context
	stop  func()
	code  int
}

func newCluster() (*cluster, error) {
	ctx, stop := context.WithCancel(context.Background())
	s := memory.New()
	c := &cluster{ctx: ctx, stop: stop, store: s}
	past := journal.New(s, api.Builtin, journal.Keep{}, slog.New(slog.DiscardHandler))
	r, err := registry.New(s, registry.Options{Rules: kinds.All(), Dialer: answers{past}, Ranges: registry.Ranges{ServiceCIDR: netip.MustParsePrefix("10.96.0.0/16")}})
	if err != nil {
		return c, err
	}
	c.Service = r
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = r.Run(ctx) // ends with ctx's error
	}()
	c.stop = func() { stop(); <-done }
	return c, r.Bootstrap(ctx)
}

func clusterOf(ts *testscript.TestScript) *cluster { return ts.Value("cluster").(*cluster) }

func runCtl(ts *testscript.TestScript, neg bool, args []string) {
	c := clusterOf(ts)
	in := ""
	if n := len(args); n >= 2 && args[n-2] == "<" {
		in, args = ts.ReadFile(args[n-1]), args[:n-2]
	}
	for _, name := range []string{"KUBE_EDITOR", "KUBECTL_EXTERNAL_DIFF"} { // one script alone has these
		if value := ts.Getenv(name); value != "" {
			ts.Check(os.Setenv(name, value))
		}
	}
	root := ctl.Over(c.Service)
	root.SetIn(strings.NewReader(in))
	root.SetOut(ts.Stdout())
	root.SetErr(ts.Stderr())
	wd := ts.MkAbs(".")
	for i, arg := range args { // the tree runs in this process, whose folder is not the script's
		if i > 0 && (args[i-1] == "-f" || args[i-1] == "-k" || args[i-1] == "--template" && strings.HasSuffix(arg, ".txt") || args[i-1] == "--kubeconfig" || args[i-1] == "load" || args[i-1] == "kustomize") && !strings.HasPrefix(arg, "-") && !strings.Contains(arg, "://") {
			args[i] = wd + "/" + arg
		}
		if fileFlags.MatchString(arg) {
			args[i] = fileNames.ReplaceAllString(arg, "${1}"+wd+"/$2")
		}
	}
	var errs bytes.Buffer
	root.SetErr(&errs)
	c.code = ctl.Run(c.ctx, root, args)
	fmt.Fprint(ts.Stderr(), strings.ReplaceAll(errs.String(), wd+"/", ""))
	if (c.code != 0) != neg {
		ts.Fatalf("ctl %s: exit code %d\n%s", strings.Join(args, " "), c.code, errs.String())
	}
}

// In the scripts' flags these are the names of files.
var (
	fileFlags = regexp.MustCompile("^--(from-file|from-env-file|cert|key)=")
	fileNames = regexp.MustCompile(`([=,])(x\.txt|folder|env|nowhere)`)
)

func as(ts *testscript.TestScript, neg bool, args []string) {
	c := clusterOf(ts)
	now, err := c.Now(c.ctx)
	ts.Check(err)
	old := c.ctx
	defer func() { c.ctx = old }()
	if c.ctx = api.WithUser(c.ctx, api.User{Name: args[0]}); strings.HasPrefix(args[0], "system:") {
		c.ctx = api.WithCauses(c.ctx, api.Causes{}.Add(api.Cause{Type: api.CauseTrigger, Revision: now}))
	}
	runCtl(ts, neg, args[2:])
}

func forget(ts *testscript.TestScript, _ bool, _ []string) {
	c := clusterOf(ts)
	now, err := c.store.Now(c.ctx)
	ts.Check(err)
	ts.Check(c.store.Compact(c.ctx, now))
}

func checkCode(ts *testscript.TestScript, _ bool, args []string) {
	if want, _ := strconv.Atoi(args[0]); clusterOf(ts).code != want {
		ts.Fatalf("exit code %d, want %d", clusterOf(ts).code, want)
	}
}

func target(ts *testscript.TestScript, arg string) api.Target {
	kind, name, _ := strings.Cut(arg, "/")
	k := api.Builtin.Find(kind)
	if k == nil {
		ts.Fatalf("no kind %q", kind)
	}
	if !k.Namespaced {
		return api.Target{Kind: k, Key: api.Key{Name: name}}
	}
	return api.Target{Kind: k, Key: api.Key{Namespace: "default", Name: name}}
}

func (c *cluster) patch(ts *testscript.TestScript, t api.Target, data []byte) {
	_, err := c.Write(c.ctx, api.Request{Target: t, Verb: api.VerbPatch, Patch: &api.Patch{Type: types.MergePatchType, Data: data}})
	ts.Check(err)
}

func setStatus(ts *testscript.TestScript, _ bool, args []string) {
	data, err := yaml.YAMLToJSON([]byte(ts.ReadFile(args[1])))
	ts.Check(err)
	t := target(ts, args[0])
	t.Sub = "status"
	clusterOf(ts).patch(ts, t, fmt.Appendf(nil, `{"status":%s}`, data))
}

// become sets a status as soon as the object is there.
func become(ts *testscript.TestScript, _ bool, args []string) {
	c, t := clusterOf(ts), target(ts, args[0])
	data, err := yaml.YAMLToJSON([]byte(ts.ReadFile(args[1])))
	ts.Check(err)
	all := t
	all.Key.Name = ""
	events, err := c.Watch(c.ctx, all, api.WatchOptions{Initial: true})
	ts.Check(err)
	go func() {
		for batch, err := range events {
			if err != nil {
				return
			}
			for _, e := range batch {
				if e.Object != nil && e.Object.GetName() == t.Key.Name {
					t.Sub = "status"
					_, _ = c.Write(c.ctx, api.Request{Target: t, Verb: api.VerbPatch, Patch: &api.Patch{Type: types.MergePatchType, Data: fmt.Appendf(nil, `{"status":%s}`, data)}})
					return
				}
			}
		}
	}()
}

func adopt(ts *testscript.TestScript, _ bool, args []string) {
	c := clusterOf(ts)
	owner := target(ts, args[1])
	o, err := c.Get(c.ctx, owner, api.GetOptions{})
	ts.Check(err)
	gvk := owner.Kind.GVK("")
	c.patch(ts, target(ts, args[0]), fmt.Appendf(nil,
		`{"metadata":{"ownerReferences":[{"apiVersion":%q,"kind":%q,"name":%q,"uid":%q,"controller":true}]}}`,
		gvk.GroupVersion(), gvk.Kind, o.Object.GetName(), o.Object.GetUID()))
}

// startNode makes a ready node whose agent removes every pod that is to end.
func startNode(ts *testscript.TestScript, _ bool, args []string) {
	c := clusterOf(ts)
	n, err := api.Nodes.Create(c.ctx, c, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: args[0]}})
	ts.Check(err)
	n = n.DeepCopy()
	n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}
	_, err = api.Nodes.UpdateStatus(c.ctx, c, n)
	ts.Check(err)
	events, err := c.Watch(c.ctx, api.Target{Kind: api.PodKind}, api.WatchOptions{Initial: true})
	ts.Check(err)
	go func() {
		for batch, err := range events {
			if err != nil {
				return
			}
			for _, e := range batch {
				if e.Object != nil && e.Type != api.Deleted && e.Object.GetDeletionTimestamp() != nil {
					_ = api.Pods.Delete(c.ctx, c, api.KeyOf(e.Object), api.Options{Grace: new(int64)})
				}
			}
		}
	}()
}

// answers stands for all components: their streams tell what was asked of them. The journal is the real one.
type answers struct{ journal *journal.Journal }

func (a answers) Dial(_ context.Context, component string) (api.Connector, error) {
	return answerer{component, a.journal}, nil
}

type answerer struct {
	component string
	journal   *journal.Journal
}

func (a answerer) Connect(ctx context.Context, t api.Target, params url.Values) (api.Stream, error) {
	if t.Sub == "journal" {
		return a.journal.Connect(ctx, params)
	}
	near, far := console.Pipe(ctx)
	go func() {
		defer far.CloseSend()
		a.answer(far, t, params)
	}()
	return near, nil
}

func (a answerer) answer(s api.Stream, t api.Target, params url.Values) {
	say := func(c api.Channel, text string) { _ = s.Send(api.Frame{Channel: c, Data: []byte(text)}) }
	switch {
	case t.Sub == "decisions":
		if params.Get("object") == "pod/default/web" && a.component == api.UserScheduler {
			say(api.ChannelStdout, `{"time":"2020-01-01T00:00:00Z","object":"pod/default/web","revision":7,"step":"bind to n1","why":"it has most room"}`+"\n")
		}
	case t.Sub == "explain":
		say(api.ChannelStdout, `{"filters":["Resources","NodeSelector"],"nodes":12,"rows":[
			{"node":"n1","reasons":[{"text":"Insufficient cpu","need":"9","have":"2 of 4"},null],"fixes":[{"kind":"request","container":"main","resource":"cpu","value":"2"}]},
			{"node":"n2","reasons":[{"text":"Insufficient cpu","need":"9","have":"1 of 4"},{"text":"no match","need":"disk=ssd","have":"none of them"}]}]}`)
	case t.Sub == "images" && params.Get("import") != "":
		say(api.ChannelStdout, fmt.Sprintf("image-of-%d-bytes\n", len(input(s))))
	case t.Sub == "images":
		say(api.ChannelStdout, `[{"name":"web:dev","size":2097152}]`)
	case t.Sub == "log" && spoken[a.component] != "":
		say(api.ChannelStdout, spoken[a.component])
	case t.Sub == "log":
		say(api.ChannelStdout, fmt.Sprintf("%s says %s\n", a.component, params.Encode()))
	case params.Get("command") == "cat":
		say(api.ChannelStdout, input(s))
	case params.Get("command") == "exit":
		say(api.ChannelStderr, "going\n")
		say(api.ChannelError, fmt.Sprintf(`{"status":"Failure","reason":"NonZeroExitCode","details":{"causes":[{"reason":"ExitCode","message":%q}]}}`, params["command"][1]))
		return
	default:
		say(api.ChannelStdout, params.Encode()+"\n")
	}
	say(api.ChannelError, `{"status":"Success"}`)
}

// spoken is what components have logged; others only repeat what they were asked.
var spoken = map[string]string{
	api.UserScheduler: `time=2020-01-01T00:00:00.002Z level=INFO msg=acted component=scheduler object=pod/default/web revision=7 cause=trigger@7+1 step="bind to n1" why="it has most room" wrote=8
`,
	api.UserControllers: `time=2020-01-01T00:00:00.001Z level=INFO msg=leading component=controllers lease=kube-system/optimist-controllers epoch=1
time=2020-01-01T00:00:00.003Z level=WARN msg="reconcile failed, will retry" component=controllers controller=deployment object=deployment/default/web cause=trigger@8 retry=5ms err="not now"
`,
}

func input(s api.Stream) string {
	var all []byte
	for {
		f, err := s.Recv()
		if err != nil {
			return string(all)
		}
		all = append(all, f.Data...)
	}
}
