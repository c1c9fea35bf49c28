package kinds

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"

	"optimist/internal/api"
	"optimist/internal/api/apitest"
)

func TestUsualTolerations(t *testing.T) {
	const notReady, unreachable = "node.kubernetes.io/not-ready:NoExecute for 300", "node.kubernetes.io/unreachable:NoExecute for 300"
	for _, row := range []struct{ name, own, want string }{
		{"a pod that says nothing gets both", "", notReady + ", " + unreachable},
		{"its own words count", "{key: node.kubernetes.io/unreachable, operator: Exists, effect: NoExecute, tolerationSeconds: 5}",
			"node.kubernetes.io/unreachable:NoExecute for 5, " + notReady},
		{"also when they are for every effect", "{key: node.kubernetes.io/not-ready, operator: Exists}", "node.kubernetes.io/not-ready: for ever, " + unreachable},
		{"but not when they are for another", "{key: node.kubernetes.io/not-ready, operator: Exists, effect: NoSchedule}",
			"node.kubernetes.io/not-ready:NoSchedule for ever, " + notReady + ", " + unreachable},
		{"whoever tolerates everything gets none", "{operator: Exists}", ": for ever"},
	} {
		t.Run(row.name, func(t *testing.T) {
			p := apitest.As[*corev1.Pod](t, "{apiVersion: v1, kind: Pod, metadata: {name: p, namespace: default}, spec: {containers: [{name: c, image: i}], tolerations: ["+row.own+"]}}")
			preparePod(t.Context(), "", p, nil)
			var got []string
			for _, x := range p.Spec.Tolerations {
				end := "for ever"
				if x.TolerationSeconds != nil {
					end = fmt.Sprint("for ", *x.TolerationSeconds)
				}
				got = append(got, fmt.Sprintf("%s:%s %s", x.Key, x.Effect, end))
			}
			if strings.Join(got, ", ") != row.want {
				t.Errorf("%s\nwant %s", strings.Join(got, ", "), row.want)
			}
		})
	}
}

// A new node is not ready, whoever made it; and what drives pods away is dated when it comes.
func TestTaintsOfANode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := open(t, "10.244.0.0/16", "10.96.0.0/24")
		n := must[*corev1.Node](t)(c.write(t, api.VerbCreate, node("n1")))
		expect := func(want string) {
			t.Helper()
			var got []string
			for _, taint := range n.Spec.Taints {
				text := taint.ToString()
				if taint.TimeAdded != nil {
					text += taint.TimeAdded.UTC().Format("@04:05")
				}
				got = append(got, text)
			}
			if strings.Join(got, ", ") != want {
				t.Errorf("taints %v, want %s", got, want)
			}
		}
		write := func(taints ...corev1.Taint) {
			t.Helper()
			time.Sleep(time.Minute)
			n = n.DeepCopy()
			n.Spec.Taints = taints
			n = must[*corev1.Node](t)(c.write(t, api.VerbUpdate, n))
		}
		expect("node.kubernetes.io/not-ready:NoSchedule")
		repair, dedicated := corev1.Taint{Key: "repair", Effect: "NoExecute"}, corev1.Taint{Key: "dedicated", Effect: "NoSchedule"}
		write(repair, dedicated)
		expect("repair:NoExecute@01:00, dedicated:NoSchedule")
		write(repair) // a manifest applied again does not know the time
		expect("repair:NoExecute@01:00")
		repair.Value = "disk"
		write(repair)
		expect("repair=disk:NoExecute@03:00")
		write()
		expect("")
		write(repair)
		expect("repair=disk:NoExecute@05:00")
	})
}
