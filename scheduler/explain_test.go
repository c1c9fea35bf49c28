package scheduler

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"pgregory.net/rapid"

	"optimist/scheduler/framework"
)

// used is a node on which pods ask for 3 of 4 cores.
func used(t *testing.T) *framework.Node {
	n := &framework.Node{Node: parse[corev1.Node](t, `{metadata: {name: used}, status: {allocatable: {cpu: "4", memory: 8Gi, pods: "10"}}}`)}
	n.Allocatable = framework.FromList(n.Status.Allocatable)
	for _, text := range []string{
		`{metadata: {namespace: default, name: hog, uid: "1"}, spec: {containers: [{resources: {requests: {cpu: "2"}}}]}}`,
		`{metadata: {namespace: default, name: mouse, uid: "2"}, spec: {containers: [{ports: [{hostPort: 80, protocol: TCP}], resources: {requests: {cpu: "1"}}}]}}`,
		`{metadata: {namespace: default, name: vip, uid: "3"}, spec: {priority: 9, containers: [{resources: {requests: {memory: 1Gi}}}]}}`,
	} {
		n = n.With(parse[corev1.Pod](t, text))
	}
	return n
}

func TestExplain(t *testing.T) {
	for _, c := range []struct {
		why   string
		nodes []string
		pod   string
		want  string // of each row: the node, its refusals, and what would help
	}{
		{"a cordon is lifted", []string{closed}, `{containers: [{}]}`, "closed ×1: uncordon closed"},
		{"with the taint that goes with it", []string{`{metadata: {name: closed}, spec: {unschedulable: true, taints: [{key: node.kubernetes.io/unschedulable, effect: NoSchedule}]},
			status: {allocatable: {pods: "1"}}}`}, `{containers: [{}]}`, "closed ×2: uncordon closed"},
		{"a taint is tolerated", []string{tainted}, `{containers: [{}]}`, "tainted ×1: tolerate gpu=yes:NoSchedule"},
		{"but not one by which the cluster says that the node is lost",
			[]string{`{metadata: {name: lost}, spec: {taints: [{key: node.kubernetes.io/unreachable, effect: NoSchedule}]}}`}, `{containers: [{}]}`, "lost ×2: nothing"},
		{"a label is given", []string{small}, `{nodeSelector: {zone: a}, containers: [{}]}`, "small ×1: label small zone=a"},
		{"what a node is cannot be given to it", []string{small}, `{nodeSelector: {kubernetes.io/os: plan9}, containers: [{}]}`, "small ×1: selector kubernetes.io/os"},
		{"the largest container asks for less, by as little as it takes", []string{small},
			`{containers: [{name: a, resources: {requests: {cpu: 300m}}}, {name: b, resources: {requests: {cpu: "2"}}}]}`, "small ×1: request b cpu=700m"},
		{"so does an init container, if it is what asks for most", []string{small},
			`{initContainers: [{name: i, resources: {requests: {cpu: "3"}}}], containers: [{name: a, resources: {requests: {cpu: 300m}}}]}`, "small ×1: request i cpu=1"},
		{"two resources are two changes", []string{small}, `{containers: [{name: a, resources: {requests: {cpu: "2", memory: 2Gi}}}]}`,
			"small ×1: request a cpu=1, request a memory=1Gi"},
		{"all filters are asked", []string{`{metadata: {name: worst}, spec: {unschedulable: true, taints: [{key: a, effect: NoExecute}]}}`},
			`{nodeSelector: {x: y}, containers: [{}]}`, "worst ×4: nothing"},
		{"the nearest node comes first", []string{closed, tainted, small}, `{containers: [{name: a, resources: {requests: {cpu: "2"}}}]}`,
			"closed ×1: uncordon closed; tainted ×1: tolerate gpu=yes:NoSchedule; small ×1: request a cpu=1"},
		{"where one pod fewer is enough, the smallest that does it goes", []string{"used"}, `{containers: [{name: a, resources: {requests: {cpu: "3"}}}]}`,
			"used ×1: evict default/hog"},
		{"where a little less is enough, nobody goes", []string{"used"}, `{containers: [{name: a, resources: {requests: {cpu: 1200m}}}]}`,
			"used ×1: request a cpu=1"},
		{"important pods stay until the last", []string{"used"}, `{containers: [{name: a, resources: {requests: {cpu: "4"}}}]}`,
			"used ×1: evict default/hog default/mouse"},
		{"who has the host port goes", []string{"used"}, `{containers: [{name: a, ports: [{hostPort: 80, protocol: TCP}]}]}`, "used ×1: evict default/mouse"},
		{"without nodes there are no rows", nil, `{containers: [{}]}`, ""},
	} {
		t.Run(c.why, func(t *testing.T) {
			pod := &corev1.Pod{Spec: *parse[corev1.PodSpec](t, c.pod)}
			var nodes []*framework.Node
			for _, text := range c.nodes {
				if text == "used" {
					nodes = append(nodes, used(t))
					continue
				}
				n := parse[corev1.Node](t, text)
				nodes = append(nodes, &framework.Node{Node: n, Allocatable: framework.FromList(n.Status.Allocatable)})
			}
			var rows []string
			for _, r := range allRules().explain(pod, nodes).Rows {
				rows = append(rows, fmt.Sprintf("%s ×%d: %s", r.Node, r.refusals(), words(r.Fixes)))
			}
			if got := strings.Join(rows, "; "); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func words(fixes []framework.Fix) string {
	var all []string
	for _, f := range fixes {
		value := f.Value
		if f.Kind == framework.Request {
			value = string(f.Resource) + "=" + f.Value
		} else if f.Key != "" {
			value = strings.TrimSuffix(f.Key+"="+f.Value, "=")
		}
		if f.Effect != "" {
			value += ":" + string(f.Effect)
		}
		node := f.Node
		if f.Kind == framework.Tolerate || f.Kind == framework.Evict {
			node = ""
		}
		all = append(all, strings.Join(strings.Fields(strings.Join(append([]string{string(f.Kind), node, f.Container, value}, f.Pods...), " ")), " "))
	}
	if len(all) == 0 {
		return "nothing"
	}
	return strings.Join(all, ", ")
}

// What is said to help helps: after all the changes of a row, every filter accepts the node; and neither pod nor node was touched.
func TestFixesHelp(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		some := func(label string, of ...string) string { return rapid.SampledFrom(of).Draw(rt, label) }
		node := fmt.Sprintf(`{metadata: {name: n, labels: {%s}}, spec: {unschedulable: %s, taints: [%s]}, status: {allocatable: {cpu: %q, memory: %s, pods: %q}}}`,
			some("labels", "", "a: b", "a: c", "kubernetes.io/os: linux"), some("cordon", "true", "false"),
			some("taint", "", "{key: k, effect: NoSchedule}", "{key: k, value: v, effect: NoExecute}, {key: l, effect: NoSchedule}"),
			some("cpu", "100m", "2", "8"), some("memory", "64Mi", "8Gi"), some("places", "1", "10"))
		spec := fmt.Sprintf(`{nodeSelector: {%s}, initContainers: [{name: i, resources: {requests: {cpu: %s}}}],
			containers: [{name: a, resources: {requests: {cpu: %s, memory: %s}}}, {name: b, resources: {requests: {cpu: %s}}}]}`,
			some("wants", "", "a: b", "kubernetes.io/os: plan9, a: b"), some("i", "100m", "4"), some("a", "1m", "3"), some("m", "1Mi", "1Gi"), some("b", "1m", "5"))
		n := parse[corev1.Node](t, node)
		was := &framework.Node{Node: n, Allocatable: framework.FromList(n.Status.Allocatable)}
		was = was.With(parse[corev1.Pod](t, fmt.Sprintf(`{metadata: {name: other, uid: o}, spec: {containers: [{resources: {requests: {cpu: %s}}}]}}`, some("other", "10m", "2"))))
		pod := &corev1.Pod{Spec: *parse[corev1.PodSpec](t, spec)}
		before, _ := json.Marshal([]any{pod, was})
		r := allRules()
		p, m := pod, was
		fixes := r.fixes(pod, was)
		for _, f := range fixes {
			p, m = f.Apply(p, m)
		}
		if after, _ := json.Marshal([]any{pod, was}); string(after) != string(before) {
			rt.Fatalf("the question changed what it was about:\n%s\n%s", before, after)
		}
		if _, why := r.refusal(p, m); len(fixes) > 0 && why != nil {
			rt.Fatalf("after %s it is still refused: %+v\n%s\n%s", words(fixes), why, node, spec)
		}
	})
}
