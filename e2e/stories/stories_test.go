// Package stories tells what a cluster does, in fake time: forty seconds pass in milliseconds, and each story ends the same way every time.
//
// A story is a .txtar file: lines of commands, then the files that they use. Beside testscript's own commands:
//
//	cluster N [cpu=C] [copies=K]  start a cluster of N simulated nodes (n1, n2, …) of C cores each, with K schedulers and controllers
//	ctl ARGS…                     a ctl command line, as a person would type it; `! ctl …` must fail
//	says TEXT                     the last ctl command printed this
//	expect KIND/NAME WORD=VALUE…  is so now, or within a second; words are listed in words_test.go
//	expect pods LABEL=VALUE [WORD=VALUE…] count=N
//	expect sandboxes/NODE count=N this many pods are there as far as the node's runtime knows
//	gone KIND/NAME                does not exist
//	always KIND/NAME WORD>=N      holds from here to the end of the story (also <=)
//	advance DURATION              let time pass
//	stop PART, start PART         kill a part and start it again: apiserver, scheduler, controllers, node/n1, scheduler/2 …
//	taint node/NAME KEY:EFFECT    put a taint on a node
//	cut PART, join PART           take a part's connection to the API server away and give it back; it does not know why nobody answers
package stories

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"optimist/agent/network"
	"optimist/agent/runtime"
	"optimist/agent/runtime/sim"
	"optimist/apiserver/registry"
	"optimist/apiserver/store/memory"
	"optimist/ctl"
	"optimist/ctl/inprocess"
	"optimist/internal/api"
)

func TestStories(t *testing.T) {
	t.Setenv("OPTIMIST_DETECT_MUTATIONS", "1")
	files, err := filepath.Glob("*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no stories:", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &story{}
				testscript.RunT(bubble{t}, testscript.Params{
					Files: []string{file},
					Setup: func(e *testscript.Env) error { s.dir = e.WorkDir; e.Defer(s.end); return nil },
					Cmds: map[string]func(*testscript.TestScript, bool, []string){
						"cluster": s.cluster, "ctl": s.ctl, "says": s.says, "expect": s.expect, "gone": s.gone,
						"always": s.always, "advance": s.advance, "stop": s.stop, "start": s.start, "cut": s.cut, "join": s.join, "taint": s.taint,
					},
				})
			})
		})
	}
}

// bubble lets testscript run one script inside the current test: a synctest bubble forbids subtests.
type bubble struct{ *testing.T }

func (b bubble) Run(_ string, f func(testscript.T)) { f(b) }
func (b bubble) Parallel()                          {}
func (b bubble) Verbose() bool                      { return testing.Verbose() }

// story is one cluster and what has been promised about it.
type story struct {
	dir     string
	cl      *inprocess.Cluster
	ctx     context.Context
	cancel  context.CancelFunc
	printed string
	runtime map[string]runtime.Runtime // by node
	log     *syncBuffer

	mu      sync.Mutex
	broken  []string // promises of `always` that were not kept
	pledges sync.WaitGroup
}

func (s *story) cluster(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.Atoi(args[0])
	ts.Check(err)
	cpu, copies := "4", 1
	for _, a := range args[1:] {
		switch word, value, _ := strings.Cut(a, "="); word {
		case "cpu":
			cpu = value
		case "copies":
			copies, err = strconv.Atoi(value)
			ts.Check(err)
		}
	}
	var nodes []inprocess.Node
	s.runtime = map[string]runtime.Runtime{}
	for i := range n {
		name := "n" + strconv.Itoa(i+1)
		s.runtime[name] = sim.New()
		nodes = append(nodes, inprocess.Node{Name: name, Runtime: s.runtime[name], Network: &network.Loopback{},
			Capacity: corev1.ResourceList{"cpu": resource.MustParse(cpu), "memory": resource.MustParse("8Gi"), "pods": resource.MustParse("110")}})
	}
	s.log = &syncBuffer{}
	s.cl, err = inprocess.New(inprocess.Config{Store: memory.New(), Nodes: nodes, Copies: copies,
		Log:    slog.New(slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Ranges: registry.Ranges{ClusterCIDR: netip.MustParsePrefix("10.244.0.0/16"), ServiceCIDR: netip.MustParsePrefix("10.96.0.0/16"), NodeBits: 24}})
	ts.Check(err)
	s.ctx, s.cancel = context.WithCancel(context.Background())
	for _, part := range s.cl.Names() {
		_, err := s.cl.Start(s.ctx, part)
		ts.Check(err)
	}
	for _, node := range nodes {
		s.expect(ts, false, []string{"node/" + node.Name, "Ready=True", "taints="}) // else the first pods would all go to the first nodes
	}
}

// end stops what still runs; the bubble then sees whether anything leaked.
func (s *story) end() {
	if s.cl == nil {
		return
	}
	s.cancel()
	for _, part := range s.cl.Names() {
		_ = s.cl.Stop(part)
	}
	s.pledges.Wait()
}

func (s *story) ctl(ts *testscript.TestScript, neg bool, args []string) {
	var out bytes.Buffer
	root := ctl.Over(s.cl.Service())
	root.SetOut(&out)
	root.SetErr(&out)
	for i, a := range args {
		if strings.HasSuffix(a, ".yaml") {
			args[i] = filepath.Join(s.dir, a)
		}
	}
	ctx, cancel := context.WithTimeout(s.ctx, 10*time.Minute)
	defer cancel()
	code := ctl.Run(ctx, root, args)
	s.printed = out.String()
	ts.Logf("%s", s.printed)
	if (code != 0) != neg {
		ts.Fatalf("ctl %s: exit code %d", strings.Join(args, " "), code)
	}
}

func (s *story) says(ts *testscript.TestScript, neg bool, args []string) {
	if text := strings.Join(args, " "); strings.Contains(s.printed, text) == neg {
		ts.Fatalf("it said\n%s\nnot %q", s.printed, text)
	}
}

// expect asks again for up to a second of fake time: the parts need a few milliseconds to answer one another.
func (s *story) expect(ts *testscript.TestScript, neg bool, args []string) {
	var is string
	for range 100 {
		synctest.Wait()
		ok, now := s.holds(args)
		if is = now; ok != neg {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	ts.Fatalf("%s: %s\n%s", strings.Join(args, " "), is, s.log.tail())
}

func (s *story) gone(ts *testscript.TestScript, _ bool, args []string) {
	for range 100 {
		synctest.Wait()
		if objects, err := s.find(args[0], nil); err == nil && len(objects) == 0 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	ts.Fatalf("%s is still there\n%s", args[0], s.log.tail())
}

func (s *story) advance(ts *testscript.TestScript, _ bool, args []string) {
	d, err := time.ParseDuration(args[0])
	ts.Check(err)
	time.Sleep(d)
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.broken) > 0 {
		ts.Fatalf("%s", strings.Join(s.broken, "\n"))
	}
}

// always watches every state of an object, not only those that a look now and then would see.
func (s *story) always(ts *testscript.TestScript, _ bool, args []string) {
	kind, name, _ := strings.Cut(args[0], "/")
	k := api.Builtin.Find(kind)
	op := ">="
	if !strings.Contains(args[1], op) {
		op = "<="
	}
	word, bound, _ := strings.Cut(args[1], op)
	limit, err := strconv.Atoi(bound)
	ts.Check(err)
	events, err := s.cl.Service().Watch(s.ctx, api.Target{Kind: k, Key: api.Key{Namespace: "default"}}, api.WatchOptions{Initial: true})
	ts.Check(err)
	s.pledges.Go(func() {
		for batch, err := range events {
			if err != nil {
				return
			}
			for _, e := range batch {
				if e.Object == nil || e.Object.GetName() != name || e.Type == api.Deleted {
					continue
				}
				is, _ := strconv.Atoi(words[k.Name][word](e.Object))
				if op == ">=" && is < limit || op == "<=" && is > limit {
					s.mu.Lock()
					s.broken = append(s.broken, fmt.Sprintf("%s at revision %d: %s was %d", strings.Join(args, " "), e.Revision, word, is))
					s.mu.Unlock()
				}
			}
		}
	})
}

func (s *story) stop(ts *testscript.TestScript, _ bool, args []string) { ts.Check(s.cl.Stop(args[0])) }

func (s *story) start(ts *testscript.TestScript, _ bool, args []string) {
	_, err := s.cl.Start(s.ctx, args[0])
	ts.Check(err)
}

func (s *story) cut(ts *testscript.TestScript, _ bool, args []string)  { ts.Check(s.cl.Cut(args[0])) }
func (s *story) join(ts *testscript.TestScript, _ bool, args []string) { ts.Check(s.cl.Join(args[0])) }

func (s *story) taint(ts *testscript.TestScript, _ bool, args []string) {
	key, effect, _ := strings.Cut(args[1], ":")
	name := strings.TrimPrefix(args[0], "node/")
	n, err := api.Nodes.Get(s.ctx, s.cl.Service(), api.Key{Name: name})
	ts.Check(err)
	n = n.DeepCopy()
	n.Spec.Taints = append(n.Spec.Taints, corev1.Taint{Key: key, Effect: corev1.TaintEffect(effect)})
	_, err = api.Nodes.Update(s.ctx, s.cl.Service(), n)
	ts.Check(err)
}

// syncBuffer keeps what the parts log, for when a story fails.
type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) tail() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	lines := strings.Split(b.buf.String(), "\n")
	return strings.Join(lines[max(0, len(lines)-60):], "\n")
}
