package kinds

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"pgregory.net/rapid"

	"optimist/apiserver/registry"
	"optimist/apiserver/store"
	"optimist/apiserver/store/memory"
	"optimist/internal/api"
	"optimist/internal/api/apitest"
)

// cluster is a registry with small ranges over a store that can be looked into.
type cluster struct {
	*registry.Registry
	store store.Store
}

func open(t testing.TB, pods, services string) cluster {
	t.Helper()
	s := memory.New()
	r, err := registry.New(s, registry.Options{Rules: All(), Ranges: registry.Ranges{
		ClusterCIDR: netip.MustParsePrefix(pods), NodeBits: 24, ServiceCIDR: netip.MustParsePrefix(services)}})
	if err == nil {
		err = r.Bootstrap(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	return cluster{r, s}
}

func (c cluster) claims(t testing.TB, prefix string) (keys []string) {
	t.Helper()
	entries, _, err := c.store.List(t.Context(), store.Range{Prefix: prefix}, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		keys = append(keys, strings.TrimPrefix(e.Key, prefix)+"="+string(e.Value))
	}
	return keys
}

func (c cluster) write(t testing.TB, verb api.Verb, o api.Object) (api.Object, error) {
	t.Helper()
	k := api.Builtin.Of(o)
	r := api.Request{Target: api.Target{Kind: k, Key: api.KeyOf(o)}, Verb: verb}
	if verb != api.VerbDelete {
		r.Body = o
	}
	res, err := c.Write(t.Context(), r)
	return res.Object, err
}

func must[T api.Object](t testing.TB) func(api.Object, error) T {
	return func(o api.Object, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return o.(T)
	}
}

func fails(t testing.TB, err error, words ...string) {
	t.Helper()
	for _, w := range words {
		if err == nil || !strings.Contains(err.Error(), w) {
			t.Errorf("got error %v, want %q in it", err, w)
		}
	}
}

func service(t testing.TB, name, spec string) *corev1.Service {
	return apitest.As[*corev1.Service](t, "{apiVersion: v1, kind: Service, metadata: {name: "+name+", namespace: default}, spec: {ports: [{port: 80}], "+spec+"}}")
}

func node(name string) *corev1.Node { return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}} }

func TestNodesShareTheRange(t *testing.T) {
	c := open(t, "10.244.0.0/22", "10.96.0.0/24")
	var got []string
	for i := range 4 {
		n := must[*corev1.Node](t)(c.write(t, api.VerbCreate, node(fmt.Sprintf("n%d", i))))
		if got = append(got, n.Spec.PodCIDR); !slices.Equal(n.Spec.PodCIDRs, []string{n.Spec.PodCIDR}) {
			t.Errorf("podCIDRs %v, podCIDR %s", n.Spec.PodCIDRs, n.Spec.PodCIDR)
		}
	}
	slices.Sort(got)
	if want := []string{"10.244.0.0/24", "10.244.1.0/24", "10.244.2.0/24", "10.244.3.0/24"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	_, err := c.write(t, api.VerbCreate, node("n4"))
	fails(t, err, "all 4 ranges of /24 in 10.244.0.0/22 belong to nodes", "--cluster-cidr")

	gone := must[*corev1.Node](t)(c.write(t, api.VerbDelete, node("n2")))
	n := must[*corev1.Node](t)(c.write(t, api.VerbCreate, node("n4")))
	if n.Spec.PodCIDR != gone.Spec.PodCIDR {
		t.Errorf("n4 has %s, but only n2's %s was free", n.Spec.PodCIDR, gone.Spec.PodCIDR)
	}
	asks := node("n5")
	asks.Spec.PodCIDR = gone.Spec.PodCIDR
	_, err = c.write(t, api.VerbCreate, asks)
	fails(t, err, "belongs to another node")
}

func TestManyNodesAtOnceGetDifferentRanges(t *testing.T) {
	c := open(t, "10.244.0.0/17", "10.96.0.0/24")
	var wg sync.WaitGroup
	for i := range 128 {
		wg.Go(func() {
			if _, err := c.write(t, api.VerbCreate, node(fmt.Sprintf("n%d", i))); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := len(c.claims(t, podCIDRs)); got != 128 {
		t.Errorf("%d claims for 128 nodes", got)
	}
}

func TestClusterIPs(t *testing.T) {
	c := open(t, "10.244.0.0/16", "10.96.0.0/29") // .1 is the API server's; .2 to .6 are free
	for _, r := range []struct{ name, spec, want string }{
		{"asked", "clusterIP: 10.96.0.4", ""},
		{"again", "clusterIP: 10.96.0.4", "spec.clusterIPs: Invalid value: [\"10.96.0.4\"]: failed to allocate IP 10.96.0.4: provided IP is already allocated"},
		{"outside", "clusterIP: 10.97.0.4", "the provided IP (10.97.0.4) is not in the valid range. The range of valid IPs is 10.96.0.0/29"},
		{"network", "clusterIP: 10.96.0.0", "is not in the valid range"},
		{"broadcast", "clusterIP: 10.96.0.7", "is not in the valid range"},
		{"reserved", "clusterIP: 10.96.0.1", "provided IP is already allocated"},
		{"kubernetes", "", ""},
		{"headless", "clusterIP: None", ""},
		{"a", "", ""}, {"b", "", ""}, {"c", "", ""}, {"d", "", ""},
		{"full", "", "range is full"},
		{"alias", "type: ExternalName, externalName: example.com", ""},
	} {
		_, err := c.write(t, api.VerbCreate, service(t, r.name, r.spec))
		if r.want == "" && err != nil {
			t.Errorf("%s: %v", r.name, err)
		}
		if r.want != "" {
			fails(t, err, r.want)
		}
	}
	if claims := c.claims(t, clusterIPs); len(claims) != 6 || claims[0] != "10.96.0.1=default/kubernetes" || claims[3] != "10.96.0.4=default/asked" {
		t.Errorf("claims %v", claims)
	}
	must[*corev1.Service](t)(c.write(t, api.VerbDelete, service(t, "asked", "")))
	s := must[*corev1.Service](t)(c.write(t, api.VerbCreate, service(t, "late", "")))
	if s.Spec.ClusterIP != "10.96.0.4" || !slices.Equal(s.Spec.ClusterIPs, []string{"10.96.0.4"}) || s.Spec.IPFamilies[0] != corev1.IPv4Protocol {
		t.Errorf("late got %+v", s.Spec)
	}
}

// A Service goes through the types; with each it has what that type has, and no more.
func TestServiceTypes(t *testing.T) {
	c := open(t, "10.244.0.0/16", "10.96.0.0/24")
	s := must[*corev1.Service](t)(c.write(t, api.VerbCreate, service(t, "s", "type: NodePort")))
	port, ip := s.Spec.Ports[0].NodePort, s.Spec.ClusterIP
	if port < firstNodePort || port > lastNodePort || ip == "" {
		t.Fatalf("node port %d, address %q", port, ip)
	}
	step := func(spec, nodePorts, addresses string) {
		t.Helper()
		s = must[*corev1.Service](t)(c.write(t, api.VerbUpdate, service(t, "s", spec)))
		if got := fmt.Sprint(c.claims(t, "/claims/nodeport/")); got != nodePorts {
			t.Errorf("%s: node ports %s, want %s", spec, got, nodePorts)
		}
		if got := fmt.Sprint(c.claims(t, clusterIPs)); got != addresses {
			t.Errorf("%s: addresses %s, want %s", spec, got, addresses)
		}
	}
	held, at := fmt.Sprintf("[%d=default/s]", port), "["+ip+"=default/s]"
	step("type: NodePort, selector: {a: b}", held, at)
	step("type: LoadBalancer", held, at)
	step("type: ClusterIP", "[]", at)
	step("type: ExternalName, externalName: example.com, clusterIP: ''", "[]", "[]")
	if s.Spec.ClusterIP != "" || s.Spec.IPFamilies != nil || s.Spec.InternalTrafficPolicy != nil {
		t.Errorf("an ExternalName has %+v", s.Spec)
	}
	step("clusterIP: 10.96.0.200", "[]", "[10.96.0.200=default/s]")
	s = must[*corev1.Service](t)(c.write(t, api.VerbUpdate, service(t, "s", "type: LoadBalancer, externalTrafficPolicy: Local, allocateLoadBalancerNodePorts: false")))
	if got, want := c.claims(t, nodePorts), fmt.Sprintf("%d=default/s", s.Spec.HealthCheckNodePort); s.Spec.Ports[0].NodePort != 0 || !slices.Equal(got, []string{want}) {
		t.Errorf("a load balancer that wants only a port for health has %v, want %s", got, want)
	}
}

func TestNodePorts(t *testing.T) {
	c := open(t, "10.244.0.0/16", "10.96.0.0/24")
	dns := must[*corev1.Service](t)(c.write(t, api.VerbCreate, apitest.As[*corev1.Service](t,
		`{apiVersion: v1, kind: Service, metadata: {name: dns, namespace: default}, spec: {type: NodePort, ports: [{name: a, port: 53}, {name: b, port: 53, protocol: UDP}, {name: c, port: 54, nodePort: 30054}]}}`)))
	if p := dns.Spec.Ports; p[0].NodePort != p[1].NodePort || p[0].NodePort == p[2].NodePort {
		t.Errorf("one port of two protocols has one number: %+v", p)
	}
	_, err := c.write(t, api.VerbCreate, apitest.Object(t,
		`{apiVersion: v1, kind: Service, metadata: {name: s, namespace: default}, spec: {type: NodePort, ports: [{port: 1, nodePort: 30054}]}}`))
	fails(t, err, "spec.ports[0].nodePort: Invalid value: 30054: provided port is already allocated")
	_, err = c.write(t, api.VerbCreate, apitest.Object(t,
		`{apiVersion: v1, kind: Service, metadata: {name: s, namespace: default}, spec: {type: NodePort, ports: [{port: 1, nodePort: 80}]}}`))
	fails(t, err, "provided port is not in the valid range. The range of valid ports is 30000-32767")
	if got := len(c.claims(t, clusterIPs)); got != 1 {
		t.Errorf("what was refused holds addresses: %d are taken", got)
	}
}

// Whatever is made, changed and removed: the claims are exactly what the Services say, and no two say the same.
func TestClaimsAreWhatObjectsHold(t *testing.T) {
	specs := []string{"", "type: NodePort", "type: LoadBalancer", "type: LoadBalancer, externalTrafficPolicy: Local", "clusterIP: None", "clusterIP: 10.96.0.3",
		"type: ExternalName, externalName: a.b, clusterIP: ''"}
	rapid.Check(t, func(rt *rapid.T) {
		c := open(t, "10.244.0.0/16", "10.96.0.0/29")
		for range rapid.IntRange(1, 30).Draw(rt, "steps") {
			verb := rapid.SampledFrom([]api.Verb{api.VerbCreate, api.VerbCreate, api.VerbUpdate, api.VerbDelete}).Draw(rt, "verb")
			s := service(t, rapid.SampledFrom([]string{"a", "b", "c", "d", "e", "f", "g"}).Draw(rt, "name"), rapid.SampledFrom(specs).Draw(rt, "spec"))
			c.write(t, verb, s) // may well be refused
			want := []string{}
			all, err := api.Services.List(context.Background(), c, "", api.ListOptions{})
			if err != nil {
				rt.Fatal(err)
			}
			for _, s := range all {
				for _, key := range serviceKeys(s) {
					want = append(want, strings.TrimPrefix(key, "/claims/")+"=default/"+s.Name)
				}
			}
			slices.Sort(want)
			got := slices.DeleteFunc(c.claims(t, "/claims/"), func(c string) bool { return strings.HasPrefix(c, "priorityclass") })
			if !slices.Equal(got, want) {
				rt.Fatalf("after %s of %s:\nclaims  %v\nobjects %v", verb, s.Name, got, want)
			}
		}
	})
}

func TestPriorityOfPods(t *testing.T) {
	c := open(t, "10.244.0.0/16", "10.96.0.0/24")
	class := func(name, rest string) api.Object {
		return apitest.Object(t, "{apiVersion: scheduling.k8s.io/v1, kind: PriorityClass, metadata: {name: "+name+"}, "+rest+"}")
	}
	pod := func(name, spec string) (api.Object, error) {
		return c.write(t, api.VerbCreate, apitest.Object(t, "{apiVersion: v1, kind: Pod, metadata: {name: "+name+", namespace: default}, spec: {containers: [{name: c, image: i}], "+spec+"}}"))
	}
	want := func(p *corev1.Pod, class string, value int32, policy corev1.PreemptionPolicy) {
		t.Helper()
		if s := p.Spec; s.PriorityClassName != class || deref(s.Priority) != value || deref(s.PreemptionPolicy) != policy {
			t.Errorf("class %q, priority %d, %s", s.PriorityClassName, deref(s.Priority), deref(s.PreemptionPolicy))
		}
	}
	want(must[*corev1.Pod](t)(pod("plain", "")), "", 0, corev1.PreemptLowerPriority)
	want(must[*corev1.Pod](t)(pod("system", "priorityClassName: system-node-critical")), "system-node-critical", 2000001000, corev1.PreemptLowerPriority)
	_, err := pod("lost", "priorityClassName: nobody")
	fails(t, err, "no PriorityClass with name nobody was found")
	must[api.Object](t)(c.write(t, api.VerbCreate, class("usual", "value: 5, globalDefault: true, preemptionPolicy: Never")))
	want(must[*corev1.Pod](t)(pod("usual", "")), "usual", 5, corev1.PreemptNever)
	_, err = pod("liar", "priority: 9")
	fails(t, err, "the integer value of priority (9) must not be provided", "computed 5")
	_, err = c.write(t, api.VerbCreate, class("other", "value: 6, globalDefault: true"))
	fails(t, err, "PriorityClass usual is already marked as default. Only one default can exist")
	must[api.Object](t)(c.write(t, api.VerbDelete, class("usual", "value: 5")))
	must[api.Object](t)(c.write(t, api.VerbCreate, class("other", "value: 6, globalDefault: true")))
	want(must[*corev1.Pod](t)(pod("new", "")), "other", 6, corev1.PreemptLowerPriority)
}

func TestPodLife(t *testing.T) {
	c := open(t, "10.244.0.0/16", "10.96.0.0/24")
	p := must[*corev1.Pod](t)(c.write(t, api.VerbCreate, apitest.Object(t,
		`{apiVersion: v1, kind: Pod, metadata: {name: p, namespace: default}, spec: {terminationGracePeriodSeconds: 7, containers: [{name: c, image: i, resources: {limits: {cpu: 1, memory: 1Gi}}}]}, status: {phase: Running, podIP: 1.2.3.4}}`)))
	if p.Status.Phase != corev1.PodPending || p.Status.PodIP != "" || p.Status.QOSClass != corev1.PodQOSGuaranteed || len(p.Spec.Tolerations) != 2 {
		t.Errorf("a new pod has status %+v, tolerations %v", p.Status, p.Spec.Tolerations)
	}
	if grace := podGrace(p, nil); grace != 0 {
		t.Errorf("an unbound pod has %d seconds of grace", grace)
	}
	bind := func(node string, uid types.UID) error {
		body := &corev1.Binding{ObjectMeta: metav1.ObjectMeta{Name: "p", Namespace: "default", UID: uid}, Target: corev1.ObjectReference{Kind: "Node", Name: node}}
		r := api.Pods.Request(api.VerbCreate, api.KeyOf(p), "binding", body)
		_, err := c.Write(t.Context(), r)
		return err
	}
	fails(t, bind("n1", "other"), "UID")
	fails(t, bind("", p.UID), "target.name: Required")
	if err := bind("n1", p.UID); err != nil {
		t.Fatal(err)
	}
	err := bind("n2", p.UID)
	if fails(t, err, `pod p is already assigned to node "n1"`); !apierrors.IsConflict(err) {
		t.Errorf("binding twice is no conflict: %v", err)
	}
	p, err = api.Pods.Get(t.Context(), c, api.KeyOf(p))
	if err != nil {
		t.Fatal(err)
	}
	if p.Spec.NodeName != "n1" || !conditionTrue(p, corev1.PodScheduled) {
		t.Errorf("bound to %q with %v", p.Spec.NodeName, p.Status.Conditions)
	}
	for _, g := range []struct {
		asked *int64
		want  int64
	}{{nil, 7}, {new(int64(0)), 0}, {new(int64(60)), 60}, {new(int64(-5)), 1}} {
		if got := podGrace(p, g.asked); got != g.want {
			t.Errorf("grace %d, want %d", got, g.want)
		}
	}
	p.Status.Phase = corev1.PodFailed
	if got := podGrace(p, new(int64(60))); got != 0 {
		t.Errorf("an ended pod has %d seconds of grace", got)
	}
}

func TestScale(t *testing.T) {
	c := open(t, "10.244.0.0/16", "10.96.0.0/24")
	d := must[api.Object](t)(c.write(t, api.VerbCreate, apitest.Object(t,
		`{apiVersion: apps/v1, kind: Deployment, metadata: {name: d, namespace: default}, spec: {replicas: 2, selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {containers: [{name: c, image: i}]}}}}`)))
	at := api.Target{Kind: api.DeploymentKind, Key: api.KeyOf(d), Sub: "scale"}
	got, err := c.Get(t.Context(), at, api.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	scale := got.Object.(*autoscalingv1.Scale)
	if scale.Spec.Replicas != 2 || scale.Status.Selector != "a=b" || scale.UID != d.GetUID() {
		t.Errorf("scale %+v", scale)
	}
	scale = scale.DeepCopy()
	scale.Spec.Replicas = 5
	if _, err := c.Write(t.Context(), api.Request{Target: at, Verb: api.VerbUpdate, Body: scale}); err != nil {
		t.Fatal(err)
	}
	now, err := api.Deployments.Get(t.Context(), c, api.KeyOf(d))
	if err != nil || *now.Spec.Replicas != 5 || now.Generation != 2 {
		t.Errorf("%v: %d replicas in generation %d", err, *now.Spec.Replicas, now.Generation)
	}
	bad := scale.DeepCopy()
	bad.ResourceVersion, bad.Spec.Replicas = "", -1
	_, err = c.Write(t.Context(), api.Request{Target: at, Verb: api.VerbUpdate, Body: bad})
	fails(t, err, "spec.replicas")
}
