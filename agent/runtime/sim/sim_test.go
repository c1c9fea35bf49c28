package sim

import (
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"optimist/agent/runtime"
	"optimist/agent/runtime/runtimetest"
)

func TestSuite(t *testing.T) {
	specs := map[runtimetest.Behaviour]runtime.ContainerSpec{
		runtimetest.RunsForever:    {Image: "web"},
		runtimetest.IgnoresSIGTERM: {Image: "web", Args: []string{"sim:ignore-term"}},
		runtimetest.Succeeds:       {Image: "web", Args: []string{"sim:exit=0"}},
		runtimetest.ExitsWith3:     {Image: "web", Args: []string{"sim:exit=3"}},
		runtimetest.HasNoCommand:   {Image: "web", Command: []string{"/missing"}},
		runtimetest.HasNoImage:     {Image: "never-pulled"},
	}
	runtimetest.Run(t, func(t *testing.T) runtimetest.Subject {
		r := New()
		if _, err := r.Pull(t.Context(), "web", runtime.Credentials{}); err != nil {
			t.Fatal(err)
		}
		return runtimetest.Subject{Runtime: r, Restart: func() runtime.Runtime { return r },
			Spec: func(b runtimetest.Behaviour) runtime.ContainerSpec { return specs[b] }}
	})
}

func TestTheDocumentationIsTheTable(t *testing.T) {
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	told := 0
	for line := range strings.Lines(string(doc)) {
		word, ok := strings.CutPrefix(line, "//	sim:")
		if !ok {
			continue
		}
		told++
		if _, err := parse([]string{"sim:" + strings.Fields(word)[0]}); err != nil {
			t.Errorf("doc.go has an example that is refused: %v", err)
		}
	}
	if told != len(words) {
		t.Errorf("doc.go tells of %d words, there are %d", told, len(words))
	}
}

func TestContainersFollowTheirWords(t *testing.T) {
	for _, row := range []struct {
		name, words string
		at          time.Duration // looked at then
		phase       runtime.Phase
		code        int
		reason      string
	}{
		{"runs for ever without words", "", time.Hour, runtime.Running, 0, ""},
		{"exits at once", "sim:exit=3", time.Millisecond, runtime.Exited, 3, "Error"},
		{"not before its time", "sim:exit=3 sim:after=5s", 4 * time.Second, runtime.Running, 0, ""},
		{"at its time", "sim:exit=3 sim:after=5s", 6 * time.Second, runtime.Exited, 3, "Error"},
		{"after alone ends well", "sim:after=5s", 6 * time.Second, runtime.Exited, 0, "Completed"},
		{"crash-every is exit 1", "sim:crash-every=10s", 11 * time.Second, runtime.Exited, 1, "Error"},
		{"oom is a kill", "sim:oom sim:after=1s", 2 * time.Second, runtime.Exited, 137, "OOMKilled"},
		{"starting takes its time", "sim:start-after=2s sim:after=5s", 4 * time.Second, runtime.Running, 0, ""},
	} {
		synctest.Test(t, func(t *testing.T) {
			r := New()
			pod := types.UID("u")
			if _, err := r.StartSandbox(t.Context(), runtime.SandboxSpec{Pod: pod}); err != nil {
				t.Fatal(err)
			}
			if _, err := r.Pull(t.Context(), "web", runtime.Credentials{}); err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			if err := r.StartContainer(t.Context(), runtime.ContainerSpec{ID: runtime.ContainerID{Pod: pod, Name: "c"}, Image: "web", Args: strings.Fields(row.words)}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(row.at - time.Since(began))
			synctest.Wait()
			state, _ := r.State(t.Context())
			c := state[0].Containers[0]
			if c.Phase != row.phase || c.ExitCode != row.code || c.Reason != row.reason {
				t.Errorf("%s: %s, exit %d, %s", row.name, c.Phase, c.ExitCode, c.Reason)
			}
			if err := r.RemoveSandbox(t.Context(), pod); err != nil {
				t.Error(err)
			}
		})
	}
}
