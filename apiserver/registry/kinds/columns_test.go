package kinds

import (
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"optimist/internal/api/apitest"
)

// row prints an object as a table would, ten minutes past noon; behind the bar what -o wide adds.
func row(t *testing.T, text string) string {
	t.Helper()
	o := apitest.Object(t, text)
	if ts := o.GetCreationTimestamp(); ts.IsZero() {
		o.SetCreationTimestamp(metav1.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC))
	}
	now := time.Date(2026, 1, 1, 12, 10, 0, 0, time.UTC)
	var narrow, wide []string
	for _, c := range rulesOf(t, o).Columns {
		cell := fmt.Sprint(c.Cell(o, now))
		if c.Wide {
			wide = append(wide, cell)
		} else {
			narrow = append(narrow, cell)
		}
	}
	return strings.TrimSpace(strings.Join(narrow, "  ") + " | " + strings.Join(wide, "  "))
}

func TestRows(t *testing.T) {
	const template = "template: {spec: {containers: [{name: a, image: x}, {name: b, image: z}]}}"
	for _, c := range []struct{ in, want string }{
		{"{apiVersion: v1, kind: Namespace, metadata: {name: one}, status: {phase: Active}}", "one  Active  10m |"},
		{"{apiVersion: v1, kind: ConfigMap, metadata: {name: c}, data: {a: x}, binaryData: {b: eA==}}", "c  2  10m |"},
		{"{apiVersion: v1, kind: Secret, metadata: {name: s}, type: Opaque, data: {b: eA==}}", "s  Opaque  1  10m |"},
		{"{apiVersion: coordination.k8s.io/v1, kind: Lease, metadata: {name: l}, spec: {holderIdentity: me}}", "l  me  10m |"},
		{"{apiVersion: scheduling.k8s.io/v1, kind: PriorityClass, metadata: {name: p}, value: 7, preemptionPolicy: Never}", "p  7  false  10m  Never |"},
		{"{apiVersion: apps/v1, kind: Deployment, metadata: {name: d}, spec: {replicas: 3, selector: {matchLabels: {a: b}}, " + template + "}, status: {readyReplicas: 1, updatedReplicas: 2, availableReplicas: 1}}",
			"d  1/3  2  1  10m | a,b  x,z  a=b"},
		{"{apiVersion: apps/v1, kind: ReplicaSet, metadata: {name: r}, spec: {replicas: 3, selector: {matchLabels: {a: b}}, " + template + "}, status: {replicas: 2, readyReplicas: 1}}",
			"r  3  2  1  10m | a,b  x,z  a=b"},
		{"{apiVersion: v1, kind: Node, metadata: {name: one, labels: {node-role.kubernetes.io/worker: '', node-role.kubernetes.io/control-plane: ''}}, spec: {unschedulable: true}, status: {conditions: [{type: Ready, status: 'True'}], addresses: [{type: InternalIP, address: 10.0.0.1}], nodeInfo: {kubeletVersion: v1, osImage: Linux}}}",
			"one  Ready,SchedulingDisabled  control-plane,worker  10m  v1 | 10.0.0.1  <none>  Linux  <unknown>  <unknown>"},
		{"{apiVersion: v1, kind: Node, metadata: {name: one}, status: {conditions: [{type: Ready, status: Unknown}]}}", "one  NotReady  <none>  10m   | <none>  <none>  <unknown>  <unknown>  <unknown>"},
		{"{apiVersion: v1, kind: Service, metadata: {name: s}, spec: {type: NodePort, clusterIP: 10.96.0.2, selector: {a: b}, ports: [{port: 80, nodePort: 30080, protocol: TCP}, {port: 53, protocol: UDP}]}}",
			"s  NodePort  10.96.0.2  <none>  80:30080/TCP,53/UDP  10m | a=b"},
		{"{apiVersion: v1, kind: Service, metadata: {name: s}, spec: {type: LoadBalancer, clusterIP: 10.96.0.2}}", "s  LoadBalancer  10.96.0.2  <pending>  <none>  10m | <none>"},
		{"{apiVersion: v1, kind: Service, metadata: {name: s}, spec: {type: ExternalName, externalName: a.b}}", "s  ExternalName  <none>  a.b  <none>  10m | <none>"},
		{"{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: e}, addressType: IPv4, ports: [{port: 80}], endpoints: [{addresses: [10.0.0.1, 10.0.0.2]}, {addresses: [10.0.0.3]}, {addresses: [10.0.0.4]}]}",
			"e  IPv4  80  10.0.0.1,10.0.0.2,10.0.0.3 + 1 more...  10m |"},
		{"{apiVersion: v1, kind: Event, metadata: {name: e}, involvedObject: {kind: Pod, name: p, fieldPath: 'spec.containers{c}'}, reason: Pulled, type: Normal, message: ' done ', source: {component: agent, host: n1}, firstTimestamp: '2026-01-01T12:00:00Z', lastTimestamp: '2026-01-01T12:09:30Z', count: 3}",
			"30s  Normal  Pulled  pod/p  done | spec.containers{c}  agent, n1  10m  3  e"},
		{"{apiVersion: v1, kind: Event, metadata: {name: e}, involvedObject: {kind: Pod}, eventTime: '2026-01-01T12:05:00.000000Z', reportingComponent: me, reportingInstance: me-1}",
			"5m      pod   |   me, me-1  5m  1  e"},
	} {
		if got := row(t, c.in); got != c.want {
			t.Errorf("%s\n got %q\nwant %q", c.in, got, c.want)
		}
	}
}

// READY, STATUS and RESTARTS of pods: what kubectl shows.
func TestPodLooks(t *testing.T) {
	const running = "state: {running: {}}, ready: true"
	for _, c := range []struct{ name, spec, status, want string }{
		{"just made", "", "phase: Pending", "0/1  Pending  0"},
		{"held back", "", "phase: Pending, conditions: [{type: PodScheduled, status: 'False', reason: SchedulingGated}]", "0/1  SchedulingGated  0"},
		{"being fetched", "", "phase: Pending, containerStatuses: [{name: c, state: {waiting: {reason: ContainerCreating}}}]", "0/1  ContainerCreating  0"},
		{"running", "", "phase: Running, containerStatuses: [{name: c, " + running + "}]", "1/1  Running  0"},
		{"running again", "", "phase: Running, containerStatuses: [{name: c, restartCount: 3, lastState: {terminated: {exitCode: 1, finishedAt: '2026-01-01T12:08:00Z'}}, " + running + "}]", "1/1  Running  3 (2m ago)"},
		{"crashing", "", "phase: Running, containerStatuses: [{name: c, restartCount: 3, state: {waiting: {reason: CrashLoopBackOff}}}]", "0/1  CrashLoopBackOff  3"},
		{"done", "", "phase: Succeeded, containerStatuses: [{name: c, state: {terminated: {reason: Completed, exitCode: 0}}}]", "0/1  Completed  0"},
		{"killed without a word", "", "phase: Failed, containerStatuses: [{name: c, state: {terminated: {exitCode: 137, signal: 9}}}]", "0/1  Signal:9  0"},
		{"failed without a word", "", "phase: Failed, containerStatuses: [{name: c, state: {terminated: {exitCode: 3}}}]", "0/1  ExitCode:3  0"},
		{"evicted", "", "phase: Failed, reason: Evicted", "0/1  Evicted  0"},
		{"half done", ", containers: [{name: c}, {name: d}]", "phase: Running, containerStatuses: [{name: c, state: {terminated: {reason: Completed, exitCode: 0}}}, {name: d, " + running + "}]", "1/2  NotReady  0"},
		{"half done and ready", ", containers: [{name: c}, {name: d}]", "phase: Running, conditions: [{type: Ready, status: 'True'}], containerStatuses: [{name: c, state: {terminated: {reason: Completed, exitCode: 0}}}, {name: d, " + running + "}]", "1/2  Running  0"},
		{"preparing", ", initContainers: [{name: a}, {name: b}]", "phase: Pending, initContainerStatuses: [{name: a, state: {terminated: {exitCode: 0}}}, {name: b, restartCount: 2, state: {running: {}}}], containerStatuses: [{name: c, state: {waiting: {reason: PodInitializing}}}]", "0/1  Init:1/2  2"},
		{"failing to prepare", ", initContainers: [{name: a}]", "phase: Pending, initContainerStatuses: [{name: a, state: {terminated: {reason: Error, exitCode: 1}}}]", "0/1  Init:Error  0"},
		{"preparing and crashing", ", initContainers: [{name: a}]", "phase: Pending, initContainerStatuses: [{name: a, state: {waiting: {reason: CrashLoopBackOff}}}]", "0/1  Init:CrashLoopBackOff  0"},
		{"prepared: those restarts no longer count", ", initContainers: [{name: a}]", "phase: Running, initContainerStatuses: [{name: a, restartCount: 5, state: {terminated: {exitCode: 0}}}], containerStatuses: [{name: c, restartCount: 1, " + running + "}]", "1/1  Running  1"},
		{"with a sidecar", ", initContainers: [{name: a, restartPolicy: Always}]", "phase: Running, initContainerStatuses: [{name: a, started: true, restartCount: 5, " + running + "}], containerStatuses: [{name: c, restartCount: 1, " + running + "}]", "2/2  Running  6"},
	} {
		spec := c.spec
		if !strings.Contains(spec, " containers:") {
			spec = ", containers: [{name: c}]" + spec
		}
		got := row(t, "{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {restartPolicy: Always"+spec+"}, status: {"+c.status+"}}")
		if want := "p  " + c.want + "  10m | <none>  <none>  <none>  <none>"; got != want {
			t.Errorf("%s\n got %q\nwant %q", c.name, got, want)
		}
	}
}

func TestPodRowTerminatingAndWide(t *testing.T) {
	got := row(t, `{apiVersion: v1, kind: Pod, metadata: {name: p, deletionTimestamp: '2026-01-01T12:00:00Z'}, spec: {nodeName: n1, containers: [{name: c}], readinessGates: [{conditionType: a}, {conditionType: b}]},
  status: {phase: Running, podIP: 10.244.0.2, nominatedNodeName: n2, conditions: [{type: a, status: 'True'}]}}`)
	if want := "p  0/1  Terminating  0  10m | 10.244.0.2  n1  n2  1/2"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
