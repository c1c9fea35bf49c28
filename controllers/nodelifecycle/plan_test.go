package nodelifecycle

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"optimist/internal/reconcile"
)

var now = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func ago(text string) *metav1.Time {
	d, _ := time.ParseDuration(text)
	t := metav1.NewTime(now.Add(-d))
	return &t
}

// node makes a Node out of words: a condition (Ready=True, or all=Unknown for the four that we answer for), zone=a, cordoned, excluded, and
// taints, since when: +unreachable:NoExecute@9s.
func node(text string) *corev1.Node {
	words := strings.Fields(text)
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: words[0], Labels: map[string]string{}}}
	for _, w := range words[1:] {
		key, value, _ := strings.Cut(w, "=")
		switch {
		case w[0] == '+':
			taint, since, _ := strings.Cut(w[1:], "@")
			key, effect, _ := strings.Cut(taint, ":")
			if strings.Contains("not-ready unreachable unschedulable memory-pressure", key) {
				key = "node.kubernetes.io/" + key
			}
			n.Spec.Taints = append(n.Spec.Taints, corev1.Taint{Key: key, Effect: corev1.TaintEffect(effect), TimeAdded: ago(since)})
		case key == "zone":
			n.Labels[corev1.LabelTopologyZone] = value
		case w == "excluded":
			n.Labels[excluded] = ""
		case w == "cordoned":
			n.Spec.Unschedulable = true
		case key == "all":
			for _, t := range spoken {
				n.Status.Conditions = append(n.Status.Conditions, corev1.NodeCondition{Type: t, Status: corev1.ConditionStatus(value)})
			}
		default:
			n.Status.Conditions = append(n.Status.Conditions, corev1.NodeCondition{Type: corev1.NodeConditionType(key), Status: corev1.ConditionStatus(value)})
		}
	}
	return n
}

// words tells what the steps would write.
func words(t *testing.T, steps []reconcile.Action) string {
	var all []string
	for _, a := range steps {
		var o struct {
			Spec   corev1.NodeSpec
			Status corev1.NodeStatus
		}
		if err := json.Unmarshal(a.Patch.Data, &o); err != nil {
			t.Fatal(err)
		}
		for _, c := range o.Status.Conditions {
			all = append(all, strings.TrimSuffix(fmt.Sprintf("%s %s=%s %s", a.Key.Name, c.Type, c.Status, c.Reason), " "))
		}
		if a.Sub == "" {
			var taints []string
			for _, t := range o.Spec.Taints {
				taints = append(taints, fmt.Sprintf("%s@%s", strings.TrimPrefix(t.ToString(), "node.kubernetes.io/"), now.Sub(t.TimeAdded.Time)))
			}
			all = append(all, fmt.Sprintf("%s taints %v", a.Key.Name, taints))
		}
	}
	return strings.Join(all, ", ")
}

func TestPlan(t *testing.T) {
	const others = "well Ready=True|poor Ready=True"
	for _, row := range []struct {
		name   string
		node   string
		silent string // for how long
		others string
		want   string
		again  string
	}{
		{"a node that is heard is looked at when its grace ends", "n Ready=True", "10s", others, "", "40s"},
		{"silence makes its conditions Unknown", "n Ready=True MemoryPressure=False DiskPressure=False PIDPressure=False", "50s", others,
			"n Ready=Unknown NodeStatusUnknown, n MemoryPressure=Unknown NodeStatusUnknown, n DiskPressure=Unknown NodeStatusUnknown, n PIDPressure=Unknown NodeStatusUnknown", "0s"},
		{"only those that are not yet", "n all=Unknown Ready=Unknown +unreachable:NoSchedule@1m +unreachable:NoExecute@1m", "1h", others, "", "0s"},
		{"a node that never spoke has a minute", "n +not-ready:NoSchedule@59s", "59s", others, "", "1s"},
		{"then that is said", "n +not-ready:NoSchedule@60s", "60s", others,
			"n Ready=Unknown NodeStatusNeverUpdated, n MemoryPressure=Unknown NodeStatusNeverUpdated, n DiskPressure=Unknown NodeStatusNeverUpdated, n PIDPressure=Unknown NodeStatusNeverUpdated", "0s"},

		{"a silent node is tainted", "n all=Unknown", "51s", others, "n taints [unreachable:NoSchedule@0s unreachable:NoExecute@0s]", "0s"},
		{"a node that says that it is not ready too", "n Ready=False", "1s", others, "n taints [not-ready:NoSchedule@0s not-ready:NoExecute@0s]", "49s"},
		{"one becomes the other and its time goes on", "n Ready=False +unreachable:NoSchedule@2m +unreachable:NoExecute@2m", "0s", others,
			"n taints [not-ready:NoSchedule@0s not-ready:NoExecute@2m0s]", "50s"},
		{"a node that is well again loses them", "n Ready=True +unreachable:NoSchedule@2m +a:NoExecute@3m +unreachable:NoExecute@2m", "0s", others, "n taints [a:NoExecute@3m0s]", "50s"},
		{"pressure keeps new pods away", "n Ready=True MemoryPressure=True", "0s", others, "n taints [memory-pressure:NoSchedule@0s]", "50s"},
		{"so does a cordon", "n Ready=True cordoned +memory-pressure:NoSchedule@1m", "0s", others, "n taints [unschedulable:NoSchedule@0s]", "50s"},
		{"a new node keeps the taint that it was created with", "n +not-ready:NoSchedule@1s", "1s", others, "", "59s"},
		{"what is right is left alone, in whatever order", "n Ready=True cordoned +unschedulable:NoSchedule@1m +b:NoSchedule@1m", "0s", others, "", "50s"},

		{"one node of a zone every ten seconds", "n all=Unknown +unreachable:NoSchedule@1s", "1m", "well Ready=True|w Ready=True|x all=Unknown +unreachable:NoExecute@4s", "", "6s"},
		{"a taint from the future holds nobody up", "n all=Unknown +unreachable:NoSchedule@1s", "1m", "well Ready=True|w Ready=True|x all=Unknown +unreachable:NoExecute@-1h",
			"n taints [unreachable:NoSchedule@1s unreachable:NoExecute@0s]", "0s"},
		{"each zone by itself", "n all=Unknown zone=b +unreachable:NoSchedule@1s", "1m", "well Ready=True|x all=Unknown +unreachable:NoExecute@4s",
			"n taints [unreachable:NoSchedule@1s unreachable:NoExecute@0s]", "0s"},
		{"two of three may be lost", "n all=Unknown +unreachable:NoSchedule@1s", "1m", "well Ready=True|x all=Unknown",
			"n taints [unreachable:NoSchedule@1s unreachable:NoExecute@0s]", "0s"},
		{"three of four are too many in a small zone", "n all=Unknown +unreachable:NoSchedule@1s", "1m", "well Ready=True|x all=Unknown|y all=Unknown", "", "0s"},
		{"what was begun goes on", "n all=Unknown +unreachable:NoSchedule@1m +unreachable:NoExecute@1m", "2m", "well Ready=True|x all=Unknown|y all=Unknown", "", "0s"},
		{"nodes that do not count, do not count", "n all=Unknown +unreachable:NoSchedule@1s", "1m", "well Ready=True|x all=Unknown excluded|y all=Unknown excluded",
			"n taints [unreachable:NoSchedule@1s unreachable:NoExecute@0s]", "0s"},
		{"three of six are not", "n all=Unknown +unreachable:NoSchedule@1s", "1m", "a Ready=True|b Ready=True|c Ready=True|x all=Unknown|y all=Unknown",
			"n taints [unreachable:NoSchedule@1s unreachable:NoExecute@0s]", "0s"},
		{"a large zone in that state loses one in a hundred seconds", "n all=Unknown +unreachable:NoSchedule@1s", "1m",
			many(20, "Ready=True") + "|" + many(40, "all=Unknown") + "|x all=Unknown +unreachable:NoExecute@30s", "", "1m10s"},
		{"a zone that is lost altogether is given up at the usual pace", "n all=Unknown +unreachable:NoSchedule@1s", "1m", "well Ready=True zone=b|x all=Unknown|y all=Unknown",
			"n taints [unreachable:NoSchedule@1s unreachable:NoExecute@0s]", "0s"},
		{"when all are lost, so may we be", "n all=Unknown zone=a", "1m", "x all=Unknown zone=b", "n taints [unreachable:NoSchedule@0s]", "0s"},
		{"and what was begun is taken back", "n all=Unknown +unreachable:NoSchedule@3m +unreachable:NoExecute@3m", "1h", "x Ready=False", "n taints [unreachable:NoSchedule@3m0s]", "0s"},
	} {
		t.Run(row.name, func(t *testing.T) {
			v := view{node: node(row.node), heard: ago(row.silent).Time}
			v.nodes = append(v.nodes, v.node)
			for _, other := range strings.Split(row.others, "|") {
				v.nodes = append(v.nodes, node(other))
			}
			steps, again := plan(v, now)
			if got := words(t, steps); got != row.want || again.String() != row.again {
				t.Errorf("got  %q, again in %s\nwant %q, again in %s", got, again, row.want, row.again)
			}
		})
	}
}

func many(n int, what string) string {
	return strings.TrimSuffix(strings.Repeat("m "+what+"|", n), "|")
}

func TestPodsOfASilentNodeAreNotReady(t *testing.T) {
	pod := func(name string, ready corev1.ConditionStatus) *corev1.Pod {
		return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name}, Status: corev1.PodStatus{Conditions: []corev1.PodCondition{
			{Type: corev1.PodScheduled, Status: corev1.ConditionTrue}, {Type: corev1.PodReady, Status: ready}}}}
	}
	v := view{heard: ago("1m").Time, pods: []*corev1.Pod{pod("a", "True"), pod("b", "False"), {}, pod("c", "True")}}
	for is, want := range map[string]string{"Unknown": "a Ready=False, c Ready=False", "False": "", "True": ""} {
		v.node = node("n Ready=" + is)
		if got := words(t, unready(v, now)); got != want {
			t.Errorf("Ready=%s: got %q, want %q", is, got, want)
		}
	}
}
