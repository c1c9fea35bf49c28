package kinds

import (
	"slices"
	"strings"
	"testing"
)

// Each row: what is set, and the fields that the warnings name.
func TestWarningsNameWhatIsStoredOnly(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"what is acted on gives no warning", `
apiVersion: v1
kind: Pod
metadata: {name: p}
spec:
  restartPolicy: OnFailure
  nodeName: n
  nodeSelector: {a: b}
  tolerations: [{operator: Exists}]
  terminationGracePeriodSeconds: 1
  hostname: h
  imagePullSecrets: [{name: s}]
  securityContext: {runAsUser: 1, runAsGroup: 1}
  initContainers: [{name: i, image: i}]
  containers:
  - name: c
    image: i
    command: [a]
    args: [b]
    workingDir: /
    imagePullPolicy: Never
    stdin: true
    tty: true
    env: [{name: a, value: b}]
    envFrom: [{configMapRef: {name: m}}]
    ports: [{containerPort: 80}]
    resources: {limits: {cpu: 1, memory: 1Gi}}
    securityContext: {privileged: true, readOnlyRootFilesystem: true, runAsUser: 0}
`, ""},
		{"a pod with much that nothing acts on", `
apiVersion: v1
kind: Pod
metadata: {name: p}
spec:
  affinity: {}
  hostPID: true
  hostUsers: true
  priorityClassName: high
  volumes: [{name: v}, {name: w, nfs: {server: s, path: /}}, {name: x, emptyDir: {sizeLimit: 1Mi}}, {name: y, emptyDir: {sizeLimit: 1Mi, medium: Memory}}]
  containers:
  - {name: a, image: i, livenessProbe: {tcpSocket: {port: 1}}, securityContext: {runAsNonRoot: true, capabilities: {drop: [ALL]}}}
  - {name: b, image: i, lifecycle: {preStop: {sleep: {seconds: 1}}, stopSignal: SIGINT}, ports: [{containerPort: 1}, {containerPort: 2, hostPort: 2}], terminationMessagePath: /x, volumeMounts: [{name: v, mountPath: /v, mountPropagation: Bidirectional}]}
`, `spec.affinity spec.containers[0].securityContext.capabilities
spec.containers[1].lifecycle.stopSignal spec.containers[1].terminationMessagePath spec.containers[1].volumeMounts[0].mountPropagation
spec.hostPID spec.priorityClassName spec.volumes[1].nfs spec.volumes[2].emptyDir.sizeLimit`},
		{"a template too", `{apiVersion: apps/v1, kind: Deployment, metadata: {name: d}, spec: {template: {spec: {containers: [{name: c, image: i, stdinOnce: true}]}}}}`,
			"spec.template.spec.containers[0].stdinOnce"},
		{"what is likely a mistake", `{apiVersion: apps/v1, kind: ReplicaSet, metadata: {name: d}, spec: {template: {spec: {terminationGracePeriodSeconds: -1, imagePullSecrets: [{}],
  containers: [{name: c, image: i, env: [{name: a, value: b}, {name: a, value: "$(a)c"}, {name: a, value: c}]}]}}}}`,
			"spec.template.spec.containers[0].env[2] spec.template.spec.imagePullSecrets[0].name spec.template.spec.terminationGracePeriodSeconds"},
		{"services", `{apiVersion: v1, kind: Service, metadata: {name: s}, spec: {ports: [{port: 80}], externalIPs: [203.0.113.1], trafficDistribution: PreferSameZone}}`, "spec.trafficDistribution"},
		{"hints", `{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: e}, addressType: IPv4, endpoints: [{addresses: [10.0.0.1]}, {addresses: [10.0.0.2], hints: {}}]}`, "endpoints[1].hints"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := defaulted(t, c.in)
			var got []string
			for _, w := range rulesOf(t, o).Warnings(o) {
				path, _, _ := strings.Cut(w, ": ")
				got = append(got, path)
			}
			slices.Sort(got)
			if want := strings.Fields(c.want); !slices.Equal(got, want) {
				t.Errorf("got  %v\nwant %v", got, want)
			}
		})
	}
}

func BenchmarkWarnings(b *testing.B) {
	o := defaulted(b, `{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {containers: [{name: c, image: i, env: [{name: a, value: b}]}]}}`)
	warnings := rulesOf(b, o).Warnings
	for b.Loop() {
		warnings(o)
	}
}

func BenchmarkValidate(b *testing.B) {
	o := defaulted(b, `{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {containers: [{name: c, image: i, env: [{name: a, value: b}]}]}}`)
	check := rulesOf(b, o).Validate
	for b.Loop() {
		check("", o, nil)
	}
}
