package trace

import (
	"testing"

	"optimist/internal/api"
	"optimist/internal/api/apitest"
)

func TestWhatObjectsSay(t *testing.T) {
	const waits = `{apiVersion: v1, kind: Pod, spec: {nodeName: n1}, status: {containerStatuses: [{name: web, state: {waiting: {reason: ContainerCreating}}}]}}`
	const runs = `{apiVersion: v1, kind: Pod, spec: {nodeName: n1}, status: {containerStatuses: [{name: web, containerID: a, state: {running: {}}}]}}`
	const again = `{apiVersion: v1, kind: Pod, spec: {nodeName: n1}, status: {containerStatuses: [{name: web, containerID: b, state: {running: {}}}],
		conditions: [{type: Ready, status: "True"}]}}`
	const ended = `{apiVersion: v1, kind: Pod, spec: {nodeName: n1}, status: {containerStatuses: [{name: web, containerID: a, state: {terminated: {exitCode: 7}}}]}}`
	const rolling = `{apiVersion: apps/v1, kind: Deployment, metadata: {generation: 2}, spec: {replicas: 3}, status: {observedGeneration: 2, replicas: 3,
		updatedReplicas: 3, availableReplicas: 2}}`
	const rolled = `{apiVersion: apps/v1, kind: Deployment, metadata: {generation: 2}, spec: {replicas: 3}, status: {observedGeneration: 2, replicas: 3,
		updatedReplicas: 3, availableReplicas: 3}}`
	for _, row := range []struct{ before, after, want string }{
		{"", `{apiVersion: v1, kind: Pod}`, ""},
		{`{apiVersion: v1, kind: Pod}`, `{apiVersion: v1, kind: Pod, spec: {nodeName: n1}}`, "to n1"},
		{`{apiVersion: v1, kind: Pod, spec: {nodeName: n1}}`, waits, "container web waits (ContainerCreating)"},
		{waits, waits, ""},
		{waits, runs, "container web started"},
		{runs, runs, ""},
		{runs, again, "container web started, ready"},
		{runs, ended, "container web ended (exit code 7)"},
		{"", `{apiVersion: v1, kind: Event, reason: Scheduled, involvedObject: {kind: Pod, name: web}}`, "Scheduled (pod/web)"},
		{rolling, rolled, "rolled out"},
		{rolled, rolled, ""},
		{rolled, rolling, ""},
		{"", `{apiVersion: v1, kind: ConfigMap}`, ""},
	} {
		var before api.Object
		if row.before != "" {
			before = apitest.Object(t, row.before)
		}
		if got := Said(before, apitest.Object(t, row.after)); got != row.want {
			t.Errorf("%s → %s: %q, want %q", row.before, row.after, got, row.want)
		}
	}
}
