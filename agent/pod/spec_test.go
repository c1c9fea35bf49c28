package pod

import (
	"context"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"optimist/agent/runtime"
	"optimist/internal/api"
	"optimist/internal/informer"
)

// drawer holds the objects that pods refer to.
type drawer struct {
	api.Service
	objects map[string]api.Object // "ConfigMap settings"
}

func (d drawer) Get(_ context.Context, t api.Target, _ api.GetOptions) (api.Result, error) {
	o := d.objects[t.Kind.Name+" "+t.Key.Name]
	if o == nil {
		return api.Result{}, t.Kind.NotFound(t.Key.Name)
	}
	return api.Result{Object: o}, nil
}

func TestEnvironment(t *testing.T) {
	d := drawer{objects: map[string]api.Object{
		"ConfigMap settings": &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "settings"}, Data: map[string]string{"a": "1", "b": "2"}},
		"Secret login":       &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "login"}, Data: map[string][]byte{"password": []byte("x")}},
	}}
	for _, row := range []struct{ name, container, want string }{
		{"variables in their order", `{env: [{name: B, value: "2"}, {name: A, value: "1"}]}`, "B=2 A=1"},
		{"references to earlier variables are expanded", `{env: [{name: A, value: x}, {name: B, value: "$(A)-$(C)-$$(A)"}]}`, "A=x B=x-$(C)-$(A)"},
		{"a dollar alone is a dollar", `{env: [{name: A, value: "5$ $"}]}`, "A=5$ $"},
		{"a whole ConfigMap with a prefix", `{envFrom: [{prefix: S_, configMapRef: {name: settings}}]}`, "S_a=1 S_b=2"},
		{"env goes before envFrom", `{envFrom: [{configMapRef: {name: settings}}], env: [{name: a, value: own}]}`, "a=own b=2"},
		{"a key of a Secret", `{env: [{name: P, valueFrom: {secretKeyRef: {name: login, key: password}}}]}`, "P=x"},
		{"an optional key that misses is left out", `{env: [{name: P, valueFrom: {secretKeyRef: {name: login, key: none, optional: true}}}]}`, ""},
		{"an optional object that misses too", `{envFrom: [{secretRef: {name: none, optional: true}}]}`, ""},
		{"a ConfigMap that misses is named", `{envFrom: [{configMapRef: {name: none}}]}`, `error: configmap "none" not found`},
		{"a Secret that misses is named", `{env: [{name: P, valueFrom: {secretKeyRef: {name: none, key: k}}}]}`, `error: secret "none" not found`},
		{"a key that misses is named", `{env: [{name: P, valueFrom: {configMapKeyRef: {name: settings, key: z}}}]}`, `error: couldn't find key z in ConfigMap default/settings`},
		{"fields of the pod", `{env: [{name: NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}, {name: IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}, {name: L, valueFrom: {fieldRef: {fieldPath: "metadata.labels['app']"}}}]}`,
			"NAME=p IP=10.0.0.1 L=web"},
		{"own limits, rounded up", `{resources: {limits: {cpu: 1500m, memory: 64Mi}}, env: [{name: C, valueFrom: {resourceFieldRef: {resource: limits.cpu}}}, {name: M, valueFrom: {resourceFieldRef: {resource: limits.memory, divisor: 1Mi}}}]}`,
			"C=2 M=64"},
		{"without a limit, the node's", `{env: [{name: C, valueFrom: {resourceFieldRef: {resource: limits.cpu, divisor: 1m}}}]}`, "C=4000"},
	} {
		var c corev1.Container
		if err := yaml.UnmarshalStrict([]byte(row.container), &c); err != nil {
			t.Fatal(err)
		}
		c.Name = "web"
		pod := parsePod(t, `{metadata: {labels: {app: web}}, spec: {}}`)
		pod.Spec.Containers = []corev1.Container{c}
		v := View{Pod: pod, Sandbox: parseBox(t, "10.0.0.1"), Node: Node{Allocatable: quantities(t, `{cpu: "4", memory: 8Gi}`)}}
		h := Host{Service: d}
		env, err := h.environment(t.Context(), v, &pod.Spec.Containers[0])
		got := ""
		if err != nil {
			got = "error: " + err.Error()
		} else {
			got = strings.Join(env, " ")
		}
		if got != row.want {
			t.Errorf("%s: got %q, want %q", row.name, got, row.want)
		}
	}
}

func TestAHostPortIsTakenOnce(t *testing.T) {
	set := informer.NewSet(nil)
	h := Host{Pods: informer.Watch(set, api.Pods, informer.Options[*corev1.Pod]{})}
	other := parsePod(t, "{spec: {containers: [{name: a, ports: [{hostPort: 80, protocol: TCP}]}]}, status: {podIP: 10.0.0.2}}")
	other.UID, other.Name = "other", "other"
	set.Open(api.PodKind)
	set.Deliver(api.PodKind, []api.Event{{Type: api.Added, Object: other, Revision: 1}, {Type: api.Bookmark, Revision: 1, InitialEnd: true}})
	for ports, want := range map[string]bool{"{hostPort: 80, protocol: TCP, hostIP: 192.0.2.1}": true, "{hostPort: 80, protocol: UDP}": false, "{containerPort: 80, protocol: TCP}": false} {
		p := parsePod(t, "{spec: {containers: [{name: a, ports: ["+ports+"]}]}}")
		p.UID = "one"
		if err := h.taken(p); (err != nil) != want {
			t.Errorf("%s: %v", ports, err)
		}
		if p.Status.PodIP = "10.0.0.3"; h.taken(p) != nil {
			t.Errorf("%s: the one that has it is disturbed", ports)
		}
	}
}

func TestServiceVariables(t *testing.T) {
	set := informer.NewSet(nil)
	h := Host{Services: informer.Watch(set, api.Services, informer.Options[*corev1.Service]{})}
	events := []api.Event{}
	for _, text := range []string{
		`{metadata: {name: kubernetes, namespace: default}, spec: {clusterIP: 10.96.0.1, ports: [{name: https, port: 443, protocol: TCP}]}}`,
		`{metadata: {name: my-db, namespace: shop}, spec: {clusterIP: 10.96.0.7, ports: [{name: sql-a, port: 5432, protocol: TCP}, {name: x, port: 53, protocol: UDP}]}}`,
		`{metadata: {name: bare, namespace: shop}, spec: {clusterIP: None, ports: [{port: 1, protocol: TCP}]}}`,
		`{metadata: {name: alias, namespace: shop}, spec: {type: ExternalName, externalName: example.org}}`,
		`{metadata: {name: other, namespace: else}, spec: {clusterIP: 10.96.0.8, ports: [{port: 1, protocol: TCP}]}}`,
	} {
		s := &corev1.Service{}
		if err := yaml.UnmarshalStrict([]byte(text), s); err != nil {
			t.Fatal(err)
		}
		events = append(events, api.Event{Type: api.Added, Object: s, Revision: 1})
	}
	set.Open(api.ServiceKind)
	set.Deliver(api.ServiceKind, append(events, api.Event{Type: api.Bookmark, Revision: 1, InitialEnd: true}))
	const theAPI = "KUBERNETES_SERVICE_HOST=10.96.0.1 KUBERNETES_SERVICE_PORT=443 KUBERNETES_PORT=tcp://10.96.0.1:443 KUBERNETES_SERVICE_PORT_HTTPS=443 " +
		"KUBERNETES_PORT_443_TCP=tcp://10.96.0.1:443 KUBERNETES_PORT_443_TCP_PROTO=tcp KUBERNETES_PORT_443_TCP_PORT=443 KUBERNETES_PORT_443_TCP_ADDR=10.96.0.1"
	for spec, want := range map[string]string{
		`{enableServiceLinks: false, containers: [{name: a}]}`: theAPI,
		`{containers: [{name: a, env: [{name: MY_DB_SERVICE_HOST, value: "near $(KUBERNETES_SERVICE_HOST)"}]}]}`: theAPI + " MY_DB_SERVICE_HOST=near 10.96.0.1 MY_DB_SERVICE_PORT=5432 " +
			"MY_DB_PORT=tcp://10.96.0.7:5432 MY_DB_SERVICE_PORT_SQL_A=5432 MY_DB_PORT_5432_TCP=tcp://10.96.0.7:5432 MY_DB_PORT_5432_TCP_PROTO=tcp MY_DB_PORT_5432_TCP_PORT=5432 " +
			"MY_DB_PORT_5432_TCP_ADDR=10.96.0.7 MY_DB_SERVICE_PORT_X=53 MY_DB_PORT_53_UDP=udp://10.96.0.7:53 MY_DB_PORT_53_UDP_PROTO=udp MY_DB_PORT_53_UDP_PORT=53 MY_DB_PORT_53_UDP_ADDR=10.96.0.7",
	} {
		pod := parsePod(t, "{metadata: {namespace: shop}, spec: "+spec+"}")
		pod.Namespace = "shop"
		env, err := h.environment(t.Context(), View{Pod: pod}, &pod.Spec.Containers[0])
		if got := strings.Join(env, " "); err != nil || got != want {
			t.Errorf("%s: got %q %v, want %q", spec, got, err, want)
		}
	}
}

func quantities(t *testing.T, text string) corev1.ResourceList {
	t.Helper()
	var list corev1.ResourceList
	if err := yaml.Unmarshal([]byte(text), &list); err != nil {
		t.Fatal(err)
	}
	return list
}

func TestLimits(t *testing.T) {
	for _, row := range []struct {
		name, resources string
		want            runtime.Limits
	}{
		{"nothing asked: the smallest weight", `{}`, runtime.Limits{CPUShares: 2}},
		{"a request is a weight", `{requests: {cpu: 500m}}`, runtime.Limits{CPUShares: 512}},
		{"a limit is a quota", `{requests: {cpu: 250m}, limits: {cpu: 500m, memory: 1Ki}}`, runtime.Limits{CPUShares: 256, CPUQuota: 50000, MemoryBytes: 1024}},
		{"and a request, where there is none", `{limits: {cpu: "1"}}`, runtime.Limits{CPUShares: 1024, CPUQuota: 100000}},
	} {
		pod := parsePod(t, "spec: {containers: [{name: a, resources: "+row.resources+"}]}")
		if got := limits(pod.Spec.Containers[0].Resources); got != row.want {
			t.Errorf("%s: %+v, want %+v", row.name, got, row.want)
		}
	}
}

func TestWhatAVolumeTellsOfThePod(t *testing.T) {
	pod := parsePod(t, `{metadata: {labels: {b: "2", a: 'say "x"'}}, spec: {containers: [{name: web, resources: {limits: {cpu: 1500m}}}]}}`)
	v := View{Pod: pod, Node: Node{Allocatable: quantities(t, `{cpu: "4", memory: 8Gi}`)}}
	for _, row := range []struct{ file, want string }{
		{`{path: f, fieldRef: {fieldPath: metadata.labels}}`, "a=\"say \\\"x\\\"\"\nb=\"2\""},
		{`{path: f, fieldRef: {fieldPath: "metadata.labels['b']"}}`, "2"},
		{`{path: f, resourceFieldRef: {containerName: web, resource: limits.cpu, divisor: 1m}}`, "1500"},
		{`{path: f, resourceFieldRef: {containerName: web, resource: limits.memory, divisor: 1Gi}}`, "8"},
		{`{path: f, resourceFieldRef: {containerName: none, resource: limits.cpu}}`, "does not have"},
		{`{path: f, resourceFieldRef: {resource: limits.cpu}}`, "neither"},
		{`{path: f}`, "neither"},
	} {
		var f corev1.DownwardAPIVolumeFile
		if err := yaml.UnmarshalStrict([]byte(row.file), &f); err != nil {
			t.Fatal(err)
		}
		got, err := v.downward(f)
		if err != nil && !strings.Contains(err.Error(), row.want) || err == nil && got != row.want {
			t.Errorf("%s: %q, %v", row.file, got, err)
		}
	}
}
