package real

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// situation is something broken that only real containers can break, or real processes; and the same, but healthy. (The rest is in e2e/why.)
type situation struct {
	name  string
	about string
	first string // a manifest that is applied and well, before …
	then  string // … this one
	facts []string
}

// chance is names and numbers of this run.
type chance struct{ *rand.Rand }

func newChance(t *testing.T) chance {
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("OPTIMIST_SEED"); text != "" {
		seed, _ = strconv.ParseUint(text, 10, 64)
	}
	t.Logf("OPTIMIST_SEED=%d", seed)
	return chance{rand.New(rand.NewPCG(seed, 2))}
}

func (c chance) name(prefix string) string { return fmt.Sprintf("%s-%x", prefix, c.IntN(1<<20)) }

func deployment(name, pods, container string) string {
	return fmt.Sprintf("---\n{apiVersion: apps/v1, kind: Deployment, metadata: {name: %[1]s}, spec: {selector: {matchLabels: {app: %[1]s}}, "+
		"template: {metadata: {labels: {app: %[1]s}}, spec: {terminationGracePeriodSeconds: 1, %[2]s containers: [{name: main, %[3]s}]}}}}\n", name, pods, container)
}

const sleeps = `image: "optimist/busybox:1", command: [sleep, "3600"]`

func shell(script string) string {
	return fmt.Sprintf(`image: "optimist/busybox:1", command: [sh, -c, %q]`, script)
}

// situations makes them broken or healthy.
func situations(c chance, broken bool, open, closed string, who login) []situation {
	pick := func(bad, good string) string {
		if broken {
			return bad
		}
		return good
	}
	var all []situation
	add := func(name string, make func() situation) {
		s := make()
		s.name = name
		all = append(all, s)
	}
	add("image not found", func() situation {
		name, tag := c.name("web"), c.name("v")
		return situation{about: "deployment/" + name, first: deployment(name, "", "image: "+open+"/team/web:1"),
			then:  deployment(name, "", "env: [{name: A, value: b}], image: "+open+"/team/web:"+pick(tag, "1")),
			facts: []string{"image " + open + "/team/web:" + tag, "is not in its registry", "rollout undo"}}
	})
	add("image misspelt", func() situation {
		name := c.name("web")
		return situation{about: "deployment/" + name, then: deployment(name, "", "imagePullPolicy: Never, image: optimist/"+pick("wed", "web")+":1"),
			facts: []string{"optimist/wed:1", "main=optimist/web:1"}}
	})
	add("image needs a login", func() situation {
		name, key := c.name("web"), c.name("key")
		return situation{about: "deployment/" + name, first: who.secret(key, closed),
			then:  deployment(name, pick("", "imagePullSecrets: [{name: "+key+"}],"), "imagePullPolicy: Always, image: "+closed+"/team/web:1"),
			facts: []string{closed + "/team/web:1", "only with a login", "secret " + key + " has a login", "imagePullSecrets"}}
	})
	add("crash loop", func() situation {
		name, code, word := c.name("web"), 1+c.IntN(100), c.name("no-database")
		return situation{about: "deployment/" + name, first: deployment(name, "", sleeps),
			then:  deployment(name, "", shell("echo "+word+"; "+pick(fmt.Sprintf("exit %d", code), "exec sleep 3600"))),
			facts: []string{fmt.Sprintf("exit code %d", code), "it printed: " + word}}
	})
	add("out of memory", func() situation {
		name, limit := c.name("web"), 20+c.IntN(10)
		uses := limit*14/10 - 2
		limited := func(limit int) string {
			return fmt.Sprintf("resources: {limits: {memory: %dMi}}, %s", limit, shell(fmt.Sprintf("dd if=/dev/zero of=/dev/null bs=%dM count=1 || exit 137; exec sleep 3600", uses)))
		}
		return situation{about: "deployment/" + name, then: pick(deployment(name, "", limited(limit)), deployment(name, "", limited(2*limit))),
			facts: []string{fmt.Sprintf("its limit of %dMi", limit), fmt.Sprintf("--limits=memory=%dMi", 2*limit), "OOMKilled"}}
	})
	add("command not found", func() situation {
		name, program := c.name("web"), "/"+c.name("bin")
		return situation{about: "pod/" + name, then: fmt.Sprintf("{apiVersion: v1, kind: Pod, metadata: {name: %s}, spec: {terminationGracePeriodSeconds: 1, containers: [{name: main, image: optimist/web:1, command: [%s]}]}}",
			name, pick(program, "/web")), facts: []string{fmt.Sprintf("cannot run %q", program)}}
	})
	add("key of a ConfigMap missing", func() situation {
		name, config, key := c.name("web"), c.name("settings"), c.name("colour")
		return situation{about: "deployment/" + name, first: fmt.Sprintf("---\n{apiVersion: v1, kind: ConfigMap, metadata: {name: %s}, data: {%s: x}}\n", config, pick("other", key)),
			then:  deployment(name, "", fmt.Sprintf("env: [{name: A, valueFrom: {configMapKeyRef: {name: %s, key: %s}}}], %s", config, key, sleeps)),
			facts: []string{"key " + key, "configmap " + config, "which has no such key"}}
	})
	add("init container fails", func() situation {
		name, code, word := c.name("web"), 1+c.IntN(100), c.name("migrating")
		return situation{about: "deployment/" + name, first: deployment(name, "", sleeps),
			then:  deployment(name, fmt.Sprintf("initContainers: [{name: setup, %s}],", shell("echo "+word+"; exit "+pick(strconv.Itoa(code), "0"))), sleeps),
			facts: []string{"init container setup", fmt.Sprintf("exit code %d", code), "it printed: " + word}}
	})
	return all
}

func TestWhy(t *testing.T) {
	c := up(t)
	chance, who := newChance(t), login{"sailor", "anchor"}
	open, closed := c.registry(t, nil), c.registry(t, &who)
	t.Run("containers", func(t *testing.T) {
		for _, s := range situations(chance, true, open, closed, who) {
			t.Run(s.name+"/broken", func(t *testing.T) { t.Parallel(); c.broken(t, s) })
		}
		for _, s := range situations(chance, false, open, closed, who) {
			t.Run(s.name+"/healthy", func(t *testing.T) { t.Parallel(); c.healthy(t, s) })
		}
	})
	pod := func(name string) string {
		return fmt.Sprintf("{apiVersion: v1, kind: Pod, metadata: {name: %s}, spec: {terminationGracePeriodSeconds: 1, containers: [{name: main, %s}]}}", name, sleeps)
	}
	waits, web := chance.name("waits"), chance.name("web")
	for _, s := range []struct {
		process string
		situation
	}{
		{"scheduler", situation{about: "pod/" + waits, then: pod(waits), facts: []string{"no scheduler runs", waits}}},
		{"controllers", situation{about: "deployment/" + web, then: deployment(web, "", sleeps), facts: []string{"no controllers run", web}}},
		{"agent-n1", situation{about: "node/n1", facts: []string{"the agent of node/n1 has said nothing"}}},
		{"containerd", situation{about: "node/n1", facts: []string{"node/n1 cannot run containers", "container runtime is down"}}},
	} {
		t.Run(s.process+" killed", func(t *testing.T) {
			c.kill(t, "supervisor", s.process)
			c.broken(t, s.situation)
		})
	}
}

// kill ends processes, in this order.
func (c *Cluster) kill(t *testing.T, names ...string) {
	t.Helper()
	pids, err := c.PIDs()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if err := syscall.Kill(pids[name], syscall.SIGKILL); err != nil || pids[name] == 0 {
			t.Fatalf("kill %s, pid %d: %v", name, pids[name], err)
		}
		eventually(t, 10*time.Second, func() (bool, string) { return syscall.Kill(pids[name], 0) != nil, name + " lives" })
	}
}

func (c *Cluster) apply(t *testing.T, manifest string) {
	t.Helper()
	if manifest == "" {
		return
	}
	if out, err := c.CtlContext(t.Context(), manifest, "apply", "-f", "-"); err != nil {
		t.Fatal(out, err, manifest)
	}
}

// why asks, and returns the exit code and what was said.
func (c *Cluster) why(t *testing.T, about string) (int, string) {
	t.Helper()
	out, err := c.CtlContext(t.Context(), "", "why", about)
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode(), out
	}
	return 0, out
}

func (c *Cluster) becomesWell(t *testing.T, about string) {
	t.Helper()
	eventually(t, time.Minute, func() (bool, string) {
		time.Sleep(time.Second)
		code, out := c.why(t, about)
		return code == 0 && strings.Contains(out, "is well"), out
	})
}

// broken demands that the first cause that is named is the true one, does what is printed, and demands that all becomes well.
func (c *Cluster) broken(t *testing.T, s situation) {
	c.begin(t, s)
	var out string
	eventually(t, time.Minute, func() (bool, string) {
		code, text := c.why(t, s.about)
		out = text
		return code == 3, text
	})
	t.Logf("%s", out)
	for _, fact := range s.facts {
		if !strings.Contains(out, fact) {
			t.Errorf("it does not say %q", fact)
		}
	}
	lines := regexp.MustCompile(`(?m)^(?:Try|then): +(.*)$`).FindAllStringSubmatch(out, -1)
	if len(lines) == 0 || t.Failed() {
		t.Fatal("it is not what should be said and tried")
	}
	for _, m := range lines {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		command := c.Command(ctx, "bash", "-c", "set -e -o pipefail; "+m[1])
		command.Env = append(command.Env, "PATH="+c.Bin+":"+os.Getenv("PATH"))
		if out, err := command.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", m[1], err, out)
		}
	}
	c.becomesWell(t, s.about)
}

func (c *Cluster) begin(t *testing.T, s situation) {
	c.apply(t, s.first)
	if strings.Contains(s.first, "kind: Deployment") {
		c.becomesWell(t, s.about)
	}
	c.apply(t, s.then)
}

// healthy asks all the while, and must not hear of a cause.
func (c *Cluster) healthy(t *testing.T, s situation) {
	c.begin(t, s)
	well := 0
	eventually(t, time.Minute, func() (bool, string) {
		time.Sleep(time.Second)
		code, out := c.why(t, s.about)
		if code != 0 {
			t.Fatalf("exit code %d\n%s", code, out)
		}
		if strings.Contains(out, "is well") {
			well++
		}
		return well == 5, out
	})
}
