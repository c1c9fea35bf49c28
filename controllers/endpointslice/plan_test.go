package endpointslice

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"pgregory.net/rapid"

	"optimist/internal/api"
	"optimist/internal/api/apitest"
	"optimist/internal/reconcile"
)

const webService = `
apiVersion: v1
kind: Service
metadata: {name: web, namespace: default, uid: s1, labels: {team: a}}
spec:
  clusterIP: 10.96.0.7
  selector: {app: web}
  ports: [{name: http, port: 80, targetPort: http, protocol: TCP}]
`

// world is the view of a Service, whose plans can be carried out.
type world struct {
	view
	writes int
}

func newWorld(t testing.TB, service string) *world {
	w := &world{view: view{service: apitest.As[*corev1.Service](t, service)}}
	w.node = func(name string) *corev1.Node {
		if name == "gone" {
			return nil
		}
		return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{corev1.LabelTopologyZone: "z-" + name}}}
	}
	w.taken = func(name string) bool {
		return slices.ContainsFunc(w.slices, func(s *discoveryv1.EndpointSlice) bool { return s.Name == name })
	}
	return w
}

// pod makes a Pod out of words: "10.244.0.2 n1 ready" is named after its address and on node n1; it calls port 8080 http.
func pod(text string) *corev1.Pod {
	words := strings.Fields(text)
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "p" + words[0], UID: types.UID("u" + words[0])}}
	p.Spec.Containers = []corev1.Container{{Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 8080, Protocol: corev1.ProtocolTCP}}}}
	p.Status.PodIP, p.Status.Phase, p.Spec.NodeName = words[0], corev1.PodRunning, "n1"
	for _, word := range words[1:] {
		switch key, value, _ := strings.Cut(word, "="); key {
		case "ready":
			p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
		case "ending":
			p.DeletionTimestamp = &metav1.Time{}
		case "ended":
			p.Status.Phase = corev1.PodSucceeded
		case "unaddressed":
			p.Status.PodIP = ""
		case "sidecar":
			p.Spec.InitContainers = []corev1.Container{{RestartPolicy: new(corev1.ContainerRestartPolicyAlways), Ports: p.Spec.Containers[0].Ports}}
			p.Spec.Containers[0].Ports = nil
		case "port":
			fmt.Sscan(value, &p.Spec.Containers[0].Ports[0].ContainerPort)
		case "host":
			p.Spec.Hostname, p.Spec.Subdomain = value, "web"
		default:
			p.Spec.NodeName = word
		}
	}
	return p
}

func (w *world) with(pods ...string) *world {
	w.pods = nil
	for _, text := range pods {
		w.pods = append(w.pods, pod(text))
	}
	return w
}

// carryOut applies plans until there is nothing to do, which must be after one.
func (w *world) carryOut(t testing.TB) *world {
	t.Helper()
	w.writes = 0
	for round := 0; ; round++ {
		steps := plan(w.view)
		if len(steps) == 0 {
			return w
		}
		if round > 0 {
			t.Fatal("the second plan is not empty:", steps)
		}
		for _, a := range steps {
			w.apply(t, a)
		}
	}
}

func (w *world) apply(t testing.TB, a reconcile.Action) {
	if e, ok := a.Body.(*corev1.Endpoints); ok {
		w.endpoints = e.DeepCopy()
		return
	}
	w.writes++
	i := slices.IndexFunc(w.slices, func(s *discoveryv1.EndpointSlice) bool { return s.Name == a.Key.Name })
	switch {
	case (a.Verb == api.VerbCreate) != (i < 0):
		t.Fatal("there is such a slice, or there is none:", a)
	case a.Verb == api.VerbCreate:
		w.slices = append(w.slices, a.Body.DeepCopyObject().(*discoveryv1.EndpointSlice))
	case a.Verb == api.VerbUpdate:
		w.slices[i] = a.Body.DeepCopyObject().(*discoveryv1.EndpointSlice)
	default:
		w.slices = slices.Delete(w.slices, i, i+1)
	}
}

// String tells all slices: "[http=8080: 10.244.0.2@n1 ready]", with what is so of each endpoint.
func (w *world) String() string {
	var all []string
	for _, s := range w.slices {
		text := "["
		for _, p := range s.Ports {
			text += fmt.Sprintf("%s=%d ", *p.Name, *p.Port)
		}
		var ends []string
		for _, e := range s.Endpoints {
			end := e.Addresses[0]
			for _, c := range []struct {
				is   *bool
				word string
			}{{e.Conditions.Ready, "ready"}, {e.Conditions.Serving, "serving"}, {e.Conditions.Terminating, "terminating"}} {
				if c.is != nil && *c.is {
					end += " " + c.word
				}
			}
			ends = append(ends, end)
		}
		all = append(all, text+strings.Join(ends, ", ")+"]")
	}
	return strings.Join(all, " ")
}

func TestPlan(t *testing.T) {
	publish := strings.Replace(webService, "spec:", "spec:\n  publishNotReadyAddresses: true", 1)
	headless := "apiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: default, uid: s1}\nspec: {clusterIP: None, selector: {app: web}}"
	two := strings.Replace(webService, "ports: [", "ports: [{name: fix, port: 1, targetPort: 9, protocol: TCP}, ", 1)
	for _, row := range []struct {
		name, service string
		pods          []string
		want, classic string
	}{
		{"without pods one empty slice says so", webService, nil, "[]", ""},
		{"a ready pod serves", webService, []string{"1.0.0.1 ready"}, "[http=8080 1.0.0.1 ready serving]", "1.0.0.1:8080"},
		{"one that is not ready is told of", webService, []string{"1.0.0.1"}, "[http=8080 1.0.0.1]", "(1.0.0.1):8080"},
		{"one that is ending serves on, for those who want it", webService, []string{"1.0.0.1 ready ending"}, "[http=8080 1.0.0.1 serving terminating]", ""},
		{"who wants all gets all as ready", publish, []string{"1.0.0.1", "1.0.0.2 ready ending", "1.0.0.3 gone"},
			"[http=8080 1.0.0.1 ready, 1.0.0.2 ready serving terminating, 1.0.0.3 ready]", "1.0.0.1:8080 1.0.0.2:8080 1.0.0.3:8080"},
		{"what has ended, has no address or no node does not", webService, []string{"1.0.0.1 ready ended", "1.0.0.2 unaddressed", "1.0.0.3 ready gone"}, "[]", ""},
		{"pods that mean another port by the same name get slices of their own", webService, []string{"1.0.0.1 ready", "1.0.0.2 ready port=9090", "1.0.0.3 ready"},
			"[http=8080 1.0.0.1 ready serving, 1.0.0.3 ready serving] [http=9090 1.0.0.2 ready serving]", "1.0.0.1:8080 1.0.0.3:8080 1.0.0.2:9090"},
		{"a sidecar may have the port", webService, []string{"1.0.0.1 ready sidecar"}, "[http=8080 1.0.0.1 ready serving]", "1.0.0.1:8080"},
		{"several ports go together", two, []string{"1.0.0.1 ready"}, "[fix=9 http=8080 1.0.0.1 ready serving]", "1.0.0.1:9 1.0.0.1:8080"},
		{"a headless service needs no ports", headless, []string{"1.0.0.1 ready"}, "[1.0.0.1 ready serving]", "1.0.0.1"},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := newWorld(t, row.service).with(row.pods...).carryOut(t)
			if w.String() != row.want {
				t.Errorf("slices %s, want %s", w, row.want)
			}
			if got := told(w.endpoints); got != row.classic {
				t.Errorf("Endpoints %q, want %q", got, row.classic)
			}
		})
	}
}

func told(e *corev1.Endpoints) string {
	var all []string
	for _, s := range e.Subsets {
		ports := []string{""}
		if len(s.Ports) > 0 {
			ports = nil
		}
		for _, p := range s.Ports {
			ports = append(ports, fmt.Sprintf(":%d", p.Port))
		}
		for _, port := range ports {
			for _, a := range s.Addresses {
				all = append(all, a.IP+port)
			}
			for _, a := range s.NotReadyAddresses {
				all = append(all, "("+a.IP+")"+port)
			}
		}
	}
	return strings.Join(all, " ")
}

func TestWhatAnEndpointTells(t *testing.T) {
	w := newWorld(t, strings.Replace(webService, "10.96.0.7", "None", 1)).with("1.0.0.1 n2 ready host=db-0").carryOut(t)
	s := w.slices[0]
	if got := fmt.Sprint(s.Labels); got != "map[endpointslice.kubernetes.io/managed-by:endpointslice-controller.k8s.io kubernetes.io/service-name:web service.kubernetes.io/headless: team:a]" {
		t.Error(got)
	}
	if ref := s.OwnerReferences[0]; ref.UID != "s1" || ref.Kind != "Service" || !*ref.Controller || s.Name != reconcile.ChildName(w.service, 0) {
		t.Error(s.Name, ref)
	}
	e := s.Endpoints[0]
	if *e.Hostname != "db-0" || *e.NodeName != "n2" || *e.Zone != "z-n2" || e.TargetRef.Name != "p1.0.0.1" || e.TargetRef.UID != "u1.0.0.1" {
		t.Errorf("%+v", e)
	}
	if _, ok := w.endpoints.Labels[corev1.IsHeadlessService]; !ok || w.endpoints.OwnerReferences[0].UID != "s1" {
		t.Errorf("%+v", w.endpoints)
	}
	w.service.Labels = map[string]string{"team": "b"}
	if w.carryOut(t); w.writes != 1 || w.slices[0].Labels["team"] != "b" {
		t.Error("a changed label is not followed")
	}
}

func many(from, to int, words string) (all []string) {
	for i := from; i < to; i++ {
		all = append(all, fmt.Sprintf("1.0.%d.%d %s", i/256, i%256, words))
	}
	return all
}

func sizes(w *world) (all []int) {
	for _, s := range w.slices {
		all = append(all, len(s.Endpoints))
	}
	return all
}

func TestFewSlicesChange(t *testing.T) {
	w := newWorld(t, webService).with(many(0, 250, "ready")...).carryOut(t)
	for _, row := range []struct {
		name   string
		pods   []string
		sizes  string
		writes int
	}{
		{"one more goes into the one with room", many(0, 251, "ready"), "[100 100 51]", 1},
		{"one that stops serving stays where it is", append(many(0, 250, "ready"), "1.0.0.250"), "[100 100 51]", 1},
		{"whoever goes leaves a gap", append(many(1, 250, "ready"), "1.0.0.250"), "[99 100 51]", 1},
		{"one that comes as another goes takes its place", many(2, 252, "ready"), "[99 100 51]", 2},
		{"when few are left the others go", many(2, 12, "ready"), "[10]", 3},
		{"the last one is written over as empty", nil, "[0]", 1},
		{"and is used again", many(0, 1, "ready"), "[1]", 1},
		{"with other ports too", many(0, 1, "ready port=1"), "[1]", 1},
	} {
		w.with(row.pods...).carryOut(t)
		if got := fmt.Sprint(sizes(w)); got != row.sizes || w.writes != row.writes {
			t.Errorf("%s: sizes %s after %d writes, want %s after %d", row.name, got, w.writes, row.sizes, row.writes)
		}
	}
}

func TestEndpointsTellAtMostAThousand(t *testing.T) {
	w := newWorld(t, webService).with(append(many(0, 1200, "ready"), many(1200, 1300, "ready port=1")...)...).carryOut(t)
	if n := len(w.endpoints.Subsets[0].Addresses); n != 1000 || len(w.endpoints.Subsets) != 1 || w.endpoints.Annotations[overCapacity] != "truncated" {
		t.Error(n, len(w.endpoints.Subsets), w.endpoints.Annotations)
	}
	if w.with("1.0.0.1 ready").carryOut(t); len(w.endpoints.Annotations) != 0 {
		t.Error(w.endpoints.Annotations)
	}
}

func TestMirror(t *testing.T) {
	w := newWorld(t, "apiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: default, uid: s1}\nspec: {clusterIP: 10.96.0.7, ports: [{port: 80, protocol: TCP}]}")
	w.endpoints = apitest.As[*corev1.Endpoints](t, `
apiVersion: v1
kind: Endpoints
metadata: {name: web, namespace: default, uid: e1}
subsets: [{addresses: [{ip: 1.0.0.1}], notReadyAddresses: [{ip: 1.0.0.2, hostname: b}, {ip: "fd00::1"}], ports: [{port: 7, protocol: TCP}]}]
`)
	for _, a := range mirror(w.view) {
		w.apply(t, a)
	}
	if s := w.slices[0]; w.String() != "[=7 1.0.0.1 ready, 1.0.0.2]" || s.OwnerReferences[0].Kind != "Endpoints" ||
		s.Labels[discoveryv1.LabelManagedBy] != "endpointslicemirroring-controller.k8s.io" || s.Labels[discoveryv1.LabelServiceName] != "web" {
		t.Errorf("%s %+v", w, s)
	}
	w.mirrors = w.slices
	if steps := mirror(w.view); len(steps) != 0 {
		t.Error("the second plan is not empty:", steps)
	}
	for name, change := range map[string]func(v *view){
		"its service is gone":      func(v *view) { v.service = nil },
		"it is marked":             func(v *view) { v.endpoints.Labels = map[string]string{discoveryv1.LabelSkipMirror: "true"} },
		"its service has selector": func(v *view) { v.service.Spec.Selector, v.slices = map[string]string{"app": "web"}, nil },
	} {
		v := w.view
		v.service, v.endpoints = v.service.DeepCopy(), v.endpoints.DeepCopy()
		change(&v)
		steps := mirror
		if strings.Contains(name, "selector") {
			steps = plan
		}
		if all := steps(v); len(all) == 0 || all[len(all)-1].Verb != api.VerbDelete || all[len(all)-1].Key.Name != w.mirrors[0].Name {
			t.Errorf("%s, but the mirror stays: %v", name, all)
		}
	}
}

// Whatever the pods were, one plan ends with each of them in exactly one slice with its ports, none of which is too full.
func TestEveryEndpointIsInOneSlice(t0 *testing.T) {
	rapid.Check(t0, func(t *rapid.T) {
		w := newWorld(t0, webService)
		for range 4 {
			w.pods = nil
			for i := range 300 {
				if word := rapid.SampledFrom([]string{"ready", "ready", "", "port=9090", "-"}).Draw(t, "pod"); word != "-" {
					w.pods = append(w.pods, pod(many(i, i+1, word)[0]))
				}
			}
			w.carryOut(t0)
			seen := map[string]int32{}
			for _, s := range w.slices {
				if len(s.Endpoints) > maxEndpoints || len(s.Endpoints) == 0 && len(w.slices) > 1 {
					t.Fatal("sizes", sizes(w))
				}
				for _, e := range s.Endpoints {
					if seen[e.Addresses[0]] != 0 {
						t.Fatal("twice:", e.Addresses[0])
					}
					seen[e.Addresses[0]] = *s.Ports[0].Port
				}
			}
			for _, p := range w.pods {
				if seen[p.Status.PodIP] != p.Spec.Containers[0].Ports[0].ContainerPort {
					t.Fatal(p.Name, "is at", seen[p.Status.PodIP])
				}
			}
			if len(seen) != len(w.pods) {
				t.Fatal(len(seen), "endpoints of", len(w.pods), "pods")
			}
		}
	})
}
