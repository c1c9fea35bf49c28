package real

import (
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// Who is ready, alive and started is asked over the pod's network and inside its containers; who stops may prepare for it.
func TestProbes(t *testing.T) {
	c := up(t, "--nodes", "2")
	if server, port := c.gateway(t); !strings.Contains(c.must(t, "get", "endpoints", "kubernetes"), server+":"+port) {
		t.Errorf("nodes reach the API server at %s:%s, but the Service kubernetes says\n%s", server, port, c.must(t, "get", "endpoints", "kubernetes"))
	}
	c.must(t, "apply", "-f", "testdata/probes.yaml")
	ready := func(want corev1.ConditionStatus, restarts int32) {
		t.Helper()
		eventually(t, 30*time.Second, func() (bool, string) {
			var is corev1.ConditionStatus
			var n int32
			for _, p := range c.pods(t, "app=asked") {
				for _, cond := range p.Status.Conditions {
					if cond.Type == corev1.PodReady {
						is = cond.Status
					}
				}
				for _, s := range p.Status.ContainerStatuses {
					n += s.RestartCount
				}
			}
			return is == want && n == restarts, fmt.Sprintf("ready %s after %d restarts", is, n)
		})
	}
	serving := func(want string) {
		t.Helper()
		eventually(t, 10*time.Second, func() (bool, string) {
			is := strings.TrimSpace(c.must(t, "get", "endpoints", "asked", "--no-headers"))
			return strings.Contains(is, want), is
		})
	}
	ready(corev1.ConditionTrue, 0)
	serving(":8080")
	env := c.must(t, "exec", "asked", "-c", "shell", "--", "env")
	for _, want := range []string{"KUBERNETES_SERVICE_HOST=", "KUBERNETES_SERVICE_PORT=443", "ASKED_SERVICE_PORT=80"} {
		if !strings.Contains(env, want) {
			t.Errorf("no %s in\n%s", want, env)
		}
	}

	// Nothing but the Service's address and port lead there.
	c.must(t, "exec", "asked", "-c", "shell", "--", "sh", "-c", `nc -w 5 $KUBERNETES_SERVICE_HOST $KUBERNETES_SERVICE_PORT </dev/null`)

	c.must(t, "exec", "asked", "-c", "shell", "--", "rm", "/tmp/ready")
	ready(corev1.ConditionFalse, 0)
	serving("<none>")
	c.must(t, "exec", "asked", "-c", "shell", "--", "touch", "/tmp/ready")
	ready(corev1.ConditionTrue, 0)

	c.must(t, "exec", "asked", "-c", "shell", "--", "rm", "/tmp/alive")
	ready(corev1.ConditionTrue, 1)
	if log := c.must(t, "logs", "asked", "-c", "shell", "--previous"); log != "begun\nprepared\nsignal\n" {
		t.Errorf("the one that was not alive said %q", log)
	}
	events := c.must(t, "get", "events")
	for _, want := range []string{"Readiness probe failed", "Liveness probe failed", "Container shell failed liveness probe, will be restarted"} {
		if !strings.Contains(events, want) {
			t.Errorf("no %q in\n%s", want, events)
		}
	}
	c.must(t, "delete", "pod", "asked")
}
