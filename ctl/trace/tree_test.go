package trace

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"optimist/internal/api"
)

// entryOf reads a line: "7 +12ms node:n1 patch/status Pod/web-1 trigger:5 wake:3".
func entryOf(t *testing.T, line string) api.Entry {
	t.Helper()
	words := strings.Fields(line)
	var e api.Entry
	fmt.Sscan(words[0], &e.Revision)
	after, err := time.ParseDuration(strings.TrimPrefix(words[1], "+"))
	if err != nil {
		t.Fatal(err)
	}
	e.Time, e.User = time.Unix(1000, 0).Add(after), words[2]
	verb, sub, _ := strings.Cut(words[3], "/")
	e.Verb, e.Sub = api.Verb(verb), sub
	e.Object.Kind, e.Object.Name, _ = strings.Cut(words[4], "/")
	for _, w := range words[5:] {
		kind, r, _ := strings.Cut(w, ":")
		c := api.Cause{Type: api.CauseType(kind)}
		fmt.Sscan(r, &c.Revision)
		e.Causes = e.Causes.Add(c)
	}
	return e
}

func draw(t *testing.T, lines string, l Look) string {
	t.Helper()
	var tree *Tree
	for line := range strings.Lines(strings.TrimSpace(lines)) {
		if e := entryOf(t, line); tree == nil {
			tree = New(e)
		} else if n := tree.Add(e); n != nil && e.Sub == "status" {
			n.Said = map[string]string{"Pod": "container web started", "Deployment": "rolled out"}[e.Object.Kind]
		}
	}
	var text strings.Builder
	if err := tree.Print(&text, l); err != nil {
		t.Fatal(err)
	}
	return "\n" + text.String()
}

func TestTrees(t *testing.T) {
	for _, row := range []struct{ name, entries, want string }{
		{"nothing came of it", `4 +0ms ann update ConfigMap/c`, `
           configmap/c: ann, update (revision 4)
`},
		{"each write stands below its newest cause; what others did is not there", `
4 +0ms ann create Deployment/web
5 +3ms system:controller:deployment create ReplicaSet/web-1 trigger:4 owner:4
6 +5ms ben update ConfigMap/c
7 +6ms system:controller:replicaset create Pod/web-1-x trigger:5 owner:5
8 +7ms system:controller:other update ConfigMap/c trigger:6
9 +9ms system:scheduler create/binding Pod/web-1-x trigger:7
10 +15ms system:node:n1 patch/status Pod/web-1-x trigger:9
11 +1500ms system:controller:replicaset update/status ReplicaSet/web-1 trigger:10 trigger:7
12 +75s system:controller:deployment update/status Deployment/web timer:11`, `
           deployment/web: ann, create (revision 4)
    +3 ms  └─ replicaset/web-1: controller deployment, create
    +6 ms     └─ pod/web-1-x: controller replicaset, create
    +9 ms        └─ pod/web-1-x: scheduler, bind
   +15 ms           └─ pod/web-1-x: node n1, patch status · container web started
   +1m15s              └─ deployment/web: controller deployment, update status · rolled out
           left out: 1 writes to statuses and Events; --all draws them
`},
		{"a series of one author stands side by side", `
4 +0ms ann delete Deployment/web
5 +1ms system:controller:r delete Pod/a trigger:4
6 +2ms system:controller:r delete Pod/b trigger:5
7 +3ms system:controller:r delete Pod/c trigger:6
8 +4ms system:controller:s delete Pod/d trigger:7`, `
           deployment/web: ann, delete (revision 4)
    +1 ms  ├─ pod/a: controller r, delete
    +2 ms  ├─ pod/b: controller r, delete
    +3 ms  └─ pod/c: controller r, delete
    +4 ms     └─ pod/d: controller s, delete
`},
		{"what was woken is shown, but not what came of it", `
4 +0ms ann delete Pod/old
5 +3ms system:scheduler create/binding Pod/new wake:4 trigger:2
6 +5ms system:node:n1 patch/status Pod/new trigger:5
7 +6ms system:controller:x delete Pod/child trigger:4`, `
           pod/old: ann, delete (revision 4)
    +3 ms  ├┄ pod/new: scheduler, bind
    +6 ms  └─ pod/child: controller x, delete
`},
		{"woken by the same change that also caused it: caused", `
4 +0ms ann update Pod/p
5 +3ms system:scheduler create/binding Pod/p wake:4 trigger:4`, `
           pod/p: ann, update (revision 4)
    +3 ms  └─ pod/p: scheduler, bind
`},
		{"of a burst stand there the first and the one that lasted longest", `
4 +0ms ann scale ReplicaSet/r
5 +1ms system:controller:r create Pod/a owner:4
6 +2ms system:controller:r create Pod/b owner:4
7 +3ms system:controller:r create Pod/c owner:4
8 +4ms system:controller:r create Pod/d owner:4
9 +5ms system:controller:r create Pod/e owner:4
10 +6ms system:controller:r update/status ReplicaSet/r trigger:9
11 +7ms system:node:n1 patch/status Pod/c trigger:7
12 +800ms system:node:n2 patch/status Pod/b trigger:6`, `
           replicaset/r: ann, scale (revision 4)
    +1 ms  ├─ pod/a: controller r, create
    +2 ms  ├─ … and 3 more pods, until +7 ms
    +2 ms  └─ pod/b: controller r, create
  +800 ms     └─ pod/b: node n2, patch status · container web started
           left out: 1 writes to statuses and Events; --all draws them
`},
	} {
		t.Run(row.name, func(t *testing.T) {
			if got := draw(t, row.entries, Look{}); got != row.want {
				t.Errorf("got%s\nwant%s", got, row.want)
			}
		})
	}
}

func TestAllOfABurst(t *testing.T) {
	lines := "4 +0ms ann scale ReplicaSet/r\n"
	for i := range 20 {
		lines += fmt.Sprintf("%d +%dms system:controller:r create Pod/p%d owner:4\n", 5+i, i, i)
	}
	if got := draw(t, lines, Look{All: true}); strings.Count(got, "pod/") != 20 || strings.Contains(got, "more") {
		t.Error(got)
	}
}
