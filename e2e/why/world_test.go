// Package why breaks clusters on purpose and asks `ctl why`: it has to name the cause, and the command that it prints has to heal what is broken.
//
// Each situation is made in a cluster of its own in fake time, with names and numbers of chance; and so is its healthy twin, of which `ctl why`
// must not find any cause, however often it is asked while it comes about. What needs real containers (exit codes, memory, registries) is
// in e2e/real.
package why

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"optimist/agent/network"
	"optimist/agent/runtime/sim"
	"optimist/apiserver/registry"
	"optimist/apiserver/store/memory"
	"optimist/ctl"
	"optimist/ctl/inprocess"
)

// world is a cluster of n nodes, and chance.
type world struct {
	*rand.Rand
	*testing.T
	cl      *inprocess.Cluster
	ctx     context.Context
	stopped []string // parts that were stopped; `ctl start` starts them
	nodes   int
	cpu     int // of each node, in cores
	memory  int // in Mi
	places  int // for pods
}

// in runs a test in a bubble of fake time, with a cluster whose parts all run.
func in(t *testing.T, seed uint64, test func(w *world)) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{Rand: rand.New(rand.NewPCG(seed, 1)), T: t}
		w.nodes, w.cpu, w.memory, w.places = 1+w.IntN(3), 2+w.IntN(8), 1024*(1+w.IntN(16)), 8+w.IntN(5)
		ctx, cancel := context.WithCancel(t.Context())
		w.ctx = ctx
		w.start()
		defer func() {
			cancel()
			for _, part := range w.cl.Names() {
				_ = w.cl.Stop(part)
			}
		}()
		test(w)
	})
}

func (w *world) start() {
	var nodes []inprocess.Node
	for i := range w.nodes {
		nodes = append(nodes, inprocess.Node{Name: fmt.Sprintf("n%d", i+1), Runtime: sim.New(), Network: &network.Loopback{},
			Capacity: corev1.ResourceList{"cpu": *resource.NewQuantity(int64(w.cpu), resource.DecimalSI),
				"memory": *resource.NewQuantity(int64(w.memory)<<20, resource.BinarySI), "pods": *resource.NewQuantity(int64(w.places), resource.DecimalSI)}})
	}
	var err error
	w.cl, err = inprocess.New(inprocess.Config{Store: memory.New(), Nodes: nodes, Log: slog.New(slog.DiscardHandler),
		Ranges: registry.Ranges{ClusterCIDR: netip.MustParsePrefix("10.244.0.0/16"), ServiceCIDR: netip.MustParsePrefix("10.96.0.0/16"), NodeBits: 24}})
	if err != nil {
		w.Fatal(err)
	}
	for _, part := range w.cl.Names() {
		if _, err := w.cl.Start(w.ctx, part); err != nil {
			w.Fatal(err)
		}
	}
	for i := range w.nodes {
		w.until("is well", fmt.Sprintf("node/n%d", i+1))
	}
}

// stop ends a part as a kill would; `ctl start` in this world brings back what was stopped.
func (w *world) stop(part string) {
	if err := w.cl.Stop(part); err != nil {
		w.Fatal(err)
	}
	w.stopped = append(w.stopped, part)
}

func (w *world) startCommand() *cobra.Command {
	return &cobra.Command{Use: "start", Args: cobra.NoArgs, RunE: func(*cobra.Command, []string) error {
		for _, part := range w.stopped {
			if _, err := w.cl.Start(w.ctx, part); err != nil {
				return err
			}
		}
		w.stopped = nil
		return nil
	}}
}

// run runs one ctl command.
func (w *world) run(in io.Reader, args ...string) (code int, out string) {
	var text bytes.Buffer
	root := ctl.Over(w.cl.Service(), w.startCommand())
	root.SetIn(in)
	root.SetOut(&text)
	root.SetErr(&text)
	ctx, cancel := context.WithTimeout(w.ctx, 10*time.Minute)
	defer cancel()
	code = ctl.Run(ctx, root, args)
	return code, text.String()
}

// ctl is a command that has to succeed.
func (w *world) ctl(args ...string) string {
	w.Helper()
	code, out := w.run(strings.NewReader(""), args...)
	if code != 0 {
		w.Fatalf("ctl %s: exit code %d\n%s", strings.Join(args, " "), code, out)
	}
	return out
}

func (w *world) apply(format string, args ...any) {
	w.Helper()
	time.Sleep(time.Second) // what was done before is known everywhere
	manifest := fmt.Sprintf(format, args...)
	if code, out := w.run(strings.NewReader(manifest), "apply", "-f", "-"); code != 0 {
		w.Fatalf("apply: exit code %d\n%s\n%s", code, out, manifest)
	}
}

// shell runs a command line as it was printed: quotes in single quotes, pipes between commands of ctl.
func (w *world) shell(line string) {
	w.Helper()
	out := ""
	for command := range strings.SplitSeq(line, " | ") {
		words := split(command)
		code, text := 1, "it does not begin with ctl"
		switch words[0] {
		case "ctl":
			code, text = w.run(strings.NewReader(out), words[1:]...)
		case "echo":
			code, text = 0, strings.Join(words[1:], " ")
		}
		if code != 0 {
			w.Fatalf("%s\nends with exit code %d: %s\n%s", line, code, command, text)
		}
		out = text
	}
}

func split(command string) (words []string) {
	for i, part := range strings.Split(command, "'") {
		if i%2 == 1 {
			words = append(words, part)
			continue
		}
		words = append(words, strings.Fields(part)...)
	}
	return words
}

// why asks.
func (w *world) why(about string) (code int, out string) {
	return w.run(strings.NewReader(""), "why", about)
}

const patience = 10 * time.Minute // of fake time

// until asks every second until why says something without a cause.
func (w *world) until(says, about string) {
	w.Helper()
	code, out := 0, ""
	for began := time.Now(); time.Since(began) < patience; time.Sleep(time.Second) {
		synctest.Wait()
		if code, out = w.why(about); code == 0 && strings.Contains(out, says) {
			return
		}
	}
	w.Fatalf("why %s does not come to say %q; it says (exit code %d)\n%s", about, says, code, out)
}

// name is a name of chance.
func (w *world) name(prefix string) string { return fmt.Sprintf("%s-%x", prefix, w.IntN(1<<16)) }

// between is a number of chance.
func (w *world) between(low, high int) int { return low + w.IntN(high-low+1) }
