package scheduler

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"pgregory.net/rapid"
	"sigs.k8s.io/yaml"

	"optimist/scheduler/framework"
	"optimist/scheduler/plugins"
)

func parse[T any](t *testing.T, text string) *T {
	t.Helper()
	o := new(T)
	if err := yaml.UnmarshalStrict([]byte(text), o); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	return o
}

func allRules() rules { return rules{filters: plugins.Filters(), scorers: plugins.Scorers()} }

const (
	small   = `{metadata: {name: small, labels: {disk: ssd}}, status: {allocatable: {cpu: "1", memory: 1Gi, pods: "10"}}}`
	big     = `{metadata: {name: big}, status: {allocatable: {cpu: "8", memory: 8Gi, pods: "10"}}}`
	tainted = `{metadata: {name: tainted}, spec: {taints: [{key: gpu, value: "yes", effect: NoSchedule}]}, status: {allocatable: {cpu: "8", memory: 8Gi, pods: "10"}}}`
	closed  = `{metadata: {name: closed}, spec: {unschedulable: true}, status: {allocatable: {cpu: "8", memory: 8Gi, pods: "10"}}}`
	lost    = `{metadata: {name: lost}, spec: {taints: [{key: node.kubernetes.io/unreachable, effect: NoExecute}, {key: node.kubernetes.io/unreachable, effect: NoSchedule}]}, status: {allocatable: {cpu: "8", memory: 8Gi, pods: "10"}}}`
	shy     = `{metadata: {name: shy}, spec: {taints: [{key: batch, effect: PreferNoSchedule}]}, status: {allocatable: {cpu: "8", memory: 8Gi, pods: "10"}}}`
	full    = `{metadata: {name: full}, status: {allocatable: {cpu: "8", memory: 8Gi, pods: "0"}}}`
)

func TestDecide(t *testing.T) {
	for _, c := range []struct {
		why   string
		nodes []string
		pod   string
		node  string // where it goes …
		says  string // … or what is said
	}{
		{"the emptier node is preferred",
			[]string{small, big}, `{containers: [{resources: {requests: {cpu: 500m}}}]}`, "big", ""},
		{"a node without enough CPU is refused in Kubernetes' words",
			[]string{small}, `{containers: [{resources: {requests: {cpu: "2"}}}]}`, "", "0/1 nodes are available: 1 Insufficient cpu."},
		{"all containers count together",
			[]string{small}, `{containers: [{resources: {requests: {memory: 600Mi}}}, {resources: {requests: {memory: 600Mi}}}]}`, "", "0/1 nodes are available: 1 Insufficient memory."},
		{"init containers run one after the other, so only the largest counts",
			[]string{small}, `{initContainers: [{resources: {requests: {cpu: 800m}}}, {resources: {requests: {cpu: 900m}}}], containers: [{resources: {requests: {cpu: 100m}}}]}`, "small", ""},
		{"a sidecar goes on beside what starts after it",
			[]string{small}, `{initContainers: [{restartPolicy: Always, resources: {requests: {cpu: 300m}}}, {resources: {requests: {cpu: 900m}}}], containers: [{}]}`, "", "0/1 nodes are available: 1 Insufficient cpu."},
		{"a resource that no node has is insufficient everywhere",
			[]string{small, big}, `{containers: [{resources: {requests: {example.com/gpu: "1"}}}]}`, "", "0/2 nodes are available: 2 Insufficient example.com/gpu."},
		{"a node with no place left is refused whatever the pod asks",
			[]string{full}, `{containers: [{}]}`, "", "0/1 nodes are available: 1 Too many pods."},
		{"a taint keeps pods away",
			[]string{tainted}, `{containers: [{}]}`, "", "0/1 nodes are available: 1 node(s) had untolerated taint {gpu: yes}."},
		{"unless they tolerate it",
			[]string{tainted}, `{tolerations: [{key: gpu, operator: Exists}], containers: [{}]}`, "tainted", ""},
		{"a toleration of another value does not help",
			[]string{tainted}, `{tolerations: [{key: gpu, value: "no"}], containers: [{}]}`, "", "0/1 nodes are available: 1 node(s) had untolerated taint {gpu: yes}."},
		{"a toleration without key tolerates everything",
			[]string{tainted}, `{tolerations: [{operator: Exists}], containers: [{}]}`, "tainted", ""},
		{"one that drives pods out keeps new ones away too",
			[]string{lost}, `{tolerations: [{key: node.kubernetes.io/unreachable, operator: Exists, effect: NoExecute, tolerationSeconds: 300}], containers: [{}]}`, "",
			"0/1 nodes are available: 1 node(s) had untolerated taint {node.kubernetes.io/unreachable: }."},
		{"a taint that only advises is avoided when there is a choice",
			[]string{shy, small}, `{containers: [{}]}`, "small", ""},
		{"and accepted when there is none",
			[]string{shy}, `{containers: [{}]}`, "shy", ""},
		{"a cordoned node takes nothing",
			[]string{closed}, `{containers: [{}]}`, "", "0/1 nodes are available: 1 node(s) were unschedulable."},
		{"a nodeSelector wants its labels",
			[]string{small, big}, `{nodeSelector: {disk: ssd}, containers: [{}]}`, "small", ""},
		{"each node has its own reason, most frequent first",
			[]string{small, big, closed, tainted}, `{nodeSelector: {disk: tape}, containers: [{}]}`, "",
			"0/4 nodes are available: 2 node(s) didn't match Pod's node affinity/selector, 1 node(s) had untolerated taint {gpu: yes}, 1 node(s) were unschedulable."},
		{"ports of the node are taken, for any address by one for all",
			[]string{small}, `{containers: [{ports: [{hostPort: 80, hostIP: 192.0.2.1, protocol: TCP}]}]}`, "", "0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports."},
		{"by sidecars too",
			[]string{small}, `{initContainers: [{restartPolicy: Always, ports: [{hostPort: 53, hostIP: 192.0.2.1, protocol: UDP}]}], containers: [{}]}`, "", "0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports."},
		{"but not another address's, protocol's or init container's, nor ports of the pod alone",
			[]string{small}, `{initContainers: [{ports: [{hostPort: 80, protocol: TCP}]}], containers: [{ports: [{hostPort: 53, hostIP: 192.0.2.2, protocol: UDP}, {hostPort: 80, protocol: UDP}, {containerPort: 80, protocol: TCP}]}]}`, "small", ""},
		{"without nodes that is said",
			nil, `{containers: [{}]}`, "", "0/0 nodes are available: no nodes have registered yet."},
	} {
		t.Run(c.why, func(t *testing.T) {
			cache := newCache()
			for _, n := range c.nodes {
				cache.setNode(parse[corev1.Node](t, n))
			}
			cache.place(parse[corev1.Pod](t, `{metadata: {namespace: default, name: proxy, uid: "1"}, spec: {nodeName: small, containers: [{ports: [{hostPort: 80, hostIP: 0.0.0.0, protocol: TCP},
				{hostPort: 53, hostIP: 192.0.2.1, protocol: UDP}]}]}}`))
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p", UID: "p"}, Spec: *parse[corev1.PodSpec](t, c.pod)}
			d := allRules().decide(pod, cache.snapshot())
			if d.node != c.node {
				t.Errorf("went to %q, want %q: %s", d.node, c.node, d.why())
			}
			if c.says != "" && d.message() != c.says {
				t.Errorf("says %q\nwant %q", d.message(), c.says)
			}
		})
	}
}

func TestSiblingsSpread(t *testing.T) {
	cache := newCache()
	for i := range 3 {
		cache.setNode(parse[corev1.Node](t, fmt.Sprintf(`{metadata: {name: n%d}, status: {allocatable: {cpu: "8", memory: 8Gi, pods: "10"}}}`, i)))
	}
	yes := true
	for i := range 6 {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p", UID: types.UID(fmt.Sprint(i)),
			OwnerReferences: []metav1.OwnerReference{{UID: "rs", Controller: &yes}}}}
		pod.Spec.NodeName = allRules().decide(pod, cache.snapshot()).node
		cache.place(pod)
	}
	for _, n := range cache.snapshot() {
		if len(n.Pods) != 2 {
			t.Errorf("%s has %d of 6 siblings, want 2", n.Name, len(n.Pods))
		}
	}
}

// Whatever comes and goes, no node is given more than it has, and its account is the sum of what is on it.
func TestNoNodeOverCapacity(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cache := newCache()
		cpus := rapid.SliceOfN(rapid.Int64Range(0, 4), 1, 5).Draw(t, "cpus")
		for i, cpu := range cpus {
			n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("n", i)}}
			if err := yaml.Unmarshal(fmt.Appendf(nil, `{allocatable: {cpu: "%d", pods: "3"}}`, cpu), &n.Status); err != nil {
				t.Fatal(err)
			}
			cache.setNode(n)
		}
		var placed []types.UID
		for i := range rapid.IntRange(1, 40).Draw(t, "steps") {
			if len(placed) > 0 && rapid.Bool().Draw(t, "remove") {
				cache.remove(placed[0])
				placed = placed[1:]
				continue
			}
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p", UID: types.UID(fmt.Sprint(i))}}
			spec := fmt.Sprintf(`{containers: [{resources: {requests: {cpu: %dm}}}]}`, rapid.IntRange(0, 2500).Draw(t, "request"))
			if err := yaml.Unmarshal([]byte(spec), &pod.Spec); err != nil {
				t.Fatal(err)
			}
			if pod.Spec.NodeName = allRules().decide(pod, cache.snapshot()).node; pod.Spec.NodeName != "" {
				cache.place(pod)
				placed = append(placed, pod.UID)
			}
		}
		for _, n := range cache.snapshot() {
			sum := framework.Resources{}
			for _, p := range n.Pods {
				sum = sum.Plus(framework.RequestsOf(p))
			}
			for name, used := range sum {
				if used != n.Requested[name] || used > n.Allocatable[name] {
					t.Fatalf("%s: %s: %d on it, %d in the account, %d allocatable", n.Name, name, used, n.Requested[name], n.Allocatable[name])
				}
			}
		}
	})
}
