package simulation

import (
	"context"
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"optimist/internal/api"
)

// The user is an administrator with a perfect connection. What exists is hers to change:
//
//	namespaces default and shop; Deployments web, api (default), web, db (shop); bare Pods; a ConfigMap that owns a Pod
var admin = api.User{Name: "admin", Groups: []string{api.GroupMasters}}

var deploymentKeys = []api.Key{{Namespace: "default", Name: "web"}, {Namespace: "default", Name: "api"}, {Namespace: "shop", Name: "web"}, {Namespace: "shop", Name: "db"}}

// deeds are what a user may do next.
var deeds = []share{
	{30, (*World).deploys},
	{18, (*World).scales},
	{16, (*World).changesImage},
	{6, (*World).changesRequests},
	{6, (*World).changesStrategy},
	{6, (*World).pausesOrResumes},
	{7, (*World).deletesDeployment},
	{10, (*World).deletesPod},
	{5, (*World).replacesPod},
	{8, (*World).createsBarePod},
	{8, (*World).changesPodsImage},
	{4, (*World).relabelsPod},
	{5, (*World).bindsPod},
	{6, (*World).createsOwnedPod},
	{3, (*World).deletesOwner},
	{3, (*World).togglesNamespace},
	{4, (*World).cordons},
}

func (w *World) userActs() {
	w.acting(&frame{who: "user", role: "user"}, func() { w.draw(deeds) })
}

// ask sends a user's request; that one is refused is as good as any other answer.
func (w *World) ask(r api.Request) {
	before := w.history.revision
	f := w.top()
	f.request = &r
	_, err := w.service.Write(api.WithUser(context.Background(), admin), r)
	f.request = nil
	switch {
	case err != nil:
		w.say("user", "%s: refused: %v", sentence(r), err)
	case w.history.revision > before:
		w.say("user", "%s%s → %d", sentence(r), patchOf(r), w.history.revision)
	}
}

func patchOf(r api.Request) string {
	if r.Patch == nil {
		return ""
	}
	return " " + string(r.Patch.Data)
}

func (w *World) create(o api.Object) {
	k := api.Builtin.Of(o)
	w.ask(api.Request{Target: api.Target{Kind: k, Key: api.KeyOf(o)}, Verb: api.VerbCreate, Body: o})
}

func (w *World) patch(k *api.Kind, key api.Key, format string, args ...any) {
	w.ask(api.Request{Target: api.Target{Kind: k, Key: key}, Verb: api.VerbPatch, Patch: &api.Patch{Type: types.MergePatchType, Data: fmt.Appendf(nil, format, args...)}})
}

func (w *World) remove(k *api.Kind, key api.Key, o api.Options) {
	w.ask(api.Request{Target: api.Target{Kind: k, Key: key}, Verb: api.VerbDelete, Options: o})
}

func pick[T any](w *World, from []T) T { return from[w.dice.IntN(len(from))] }

var (
	cpus   = []string{"100m", "300m", "500m", "900m", "1400m"}
	bounds = []string{"0", "1", "2", "25%", "34%", "50%", "100%"}
)

func (w *World) deploys() {
	key := pick(w, deploymentKeys)
	if _, exists := get(w.history, api.Deployments, key); exists {
		w.scales()
		return
	}
	replicas := int32(w.dice.IntN(7))
	labels := map[string]string{"app": key.Name}
	d := &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name},
		Spec: appsv1.DeploymentSpec{Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: labels},
			MinReadySeconds: pick(w, []int32{0, 0, 0, 2}), Strategy: w.strategy(), RevisionHistoryLimit: new(pick(w, []int32{0, 1, 10})),
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: w.podSpec()}},
	}
	w.create(d)
}

func (w *World) podSpec() corev1.PodSpec {
	return corev1.PodSpec{
		TerminationGracePeriodSeconds: new(pick(w, []int64{0, 1, 10, 30})),
		Containers: []corev1.Container{{Name: "main", Image: pick(w, []string{"app:1", "app:2", "app:3"}),
			Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(pick(w, cpus))}}}},
	}
}

func (w *World) strategy() appsv1.DeploymentStrategy {
	if w.dice.IntN(6) == 0 {
		return appsv1.DeploymentStrategy{Type: appsv1.RecreateDeploymentStrategyType}
	}
	surge, unavailable := intstr.Parse(pick(w, bounds)), intstr.Parse(pick(w, bounds))
	if surge.String() == "0" && unavailable.String() == "0" {
		surge = intstr.FromInt32(1)
	}
	return appsv1.DeploymentStrategy{Type: appsv1.RollingUpdateDeploymentStrategyType, RollingUpdate: &appsv1.RollingUpdateDeployment{MaxSurge: &surge, MaxUnavailable: &unavailable}}
}

// someDeployment is one that exists; false = there is none.
func (w *World) someDeployment() (*appsv1.Deployment, bool) {
	list := all(w.history, api.Deployments)
	if len(list) == 0 {
		return nil, false
	}
	return pick(w, list), true
}

func (w *World) onDeployment(format string, args ...any) {
	if d, ok := w.someDeployment(); ok {
		w.patch(api.DeploymentKind, api.KeyOf(d), format, args...)
	}
}

func (w *World) scales() { w.onDeployment(`{"spec":{"replicas":%d}}`, w.dice.IntN(8)) }

func (w *World) changesImage() {
	w.onTemplate(`"image":"app:%d"`, 1+w.dice.IntN(3))
}

func (w *World) changesRequests() {
	w.onTemplate(`"resources":{"requests":{"cpu":"%s"}}`, pick(w, cpus))
}

// onTemplate changes the one container of a Deployment's template.
func (w *World) onTemplate(format string, args ...any) {
	d, ok := w.someDeployment()
	if !ok {
		return
	}
	r := api.Request{Target: api.Target{Kind: api.DeploymentKind, Key: api.KeyOf(d)}, Verb: api.VerbPatch, Patch: &api.Patch{Type: types.StrategicMergePatchType,
		Data: fmt.Appendf(nil, `{"spec":{"template":{"spec":{"containers":[{"name":"main",%s}]}}}}`, fmt.Sprintf(format, args...))}}
	w.ask(r)
}

func (w *World) changesStrategy() {
	s := w.strategy()
	if s.RollingUpdate == nil {
		w.onDeployment(`{"spec":{"strategy":{"type":"Recreate","rollingUpdate":null}}}`)
		return
	}
	text := func(v *intstr.IntOrString) string {
		if v.Type == intstr.Int {
			return v.String()
		}
		return `"` + v.String() + `"`
	}
	w.onDeployment(`{"spec":{"strategy":{"type":"RollingUpdate","rollingUpdate":{"maxSurge":%s,"maxUnavailable":%s}}}}`, text(s.RollingUpdate.MaxSurge), text(s.RollingUpdate.MaxUnavailable))
}

func (w *World) pausesOrResumes() {
	if d, ok := w.someDeployment(); ok {
		w.patch(api.DeploymentKind, api.KeyOf(d), `{"spec":{"paused":%t}}`, !d.Spec.Paused)
	}
}

func (w *World) deletesDeployment() {
	if d, ok := w.someDeployment(); ok {
		w.remove(api.DeploymentKind, api.KeyOf(d), api.Options{Propagation: pick(w, propagations)})
	}
}

var propagations = []metav1.DeletionPropagation{metav1.DeletePropagationBackground, metav1.DeletePropagationForeground, metav1.DeletePropagationOrphan}

func (w *World) somePod(which func(*corev1.Pod) bool) (*corev1.Pod, bool) {
	var list []*corev1.Pod
	for _, p := range all(w.history, api.Pods) {
		if which == nil || which(p) {
			list = append(list, p)
		}
	}
	if len(list) == 0 {
		return nil, false
	}
	return pick(w, list), true
}

// deletesPod is `delete pod`, sometimes with --now, sometimes with --force.
func (w *World) deletesPod() {
	if p, ok := w.somePod(nil); ok {
		o := api.Options{}
		switch w.dice.IntN(4) {
		case 0:
			o.Grace = new(int64(1))
		case 1:
			o.Grace = new(int64)
		}
		w.remove(api.PodKind, api.KeyOf(p), o)
	}
}

// replacesPod is `replace --force`: another object of the same name.
func (w *World) replacesPod() {
	p, ok := w.somePod(nil)
	if !ok {
		return
	}
	w.remove(api.PodKind, api.KeyOf(p), api.Options{Grace: new(int64)})
	w.create(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: p.Namespace, Name: p.Name, Labels: p.Labels, OwnerReferences: p.OwnerReferences},
		Spec: corev1.PodSpec{Containers: p.Spec.Containers, TerminationGracePeriodSeconds: p.Spec.TerminationGracePeriodSeconds}})
}

func (w *World) createsBarePod() {
	spec := w.podSpec()
	spec.RestartPolicy = pick(w, []corev1.RestartPolicy{corev1.RestartPolicyAlways, corev1.RestartPolicyNever, corev1.RestartPolicyOnFailure})
	w.create(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: pick(w, []string{"default", "shop"}), Name: fmt.Sprint("bare-", w.dice.IntN(4))}, Spec: spec})
}

// changesPodsImage changes what may be changed of a Pod's spec, most of all of those that wait for a node.
func (w *World) changesPodsImage() {
	p, ok := w.somePod(func(p *corev1.Pod) bool { return p.Spec.NodeName == "" && p.DeletionTimestamp == nil })
	if !ok {
		if p, ok = w.somePod(nil); !ok {
			return
		}
	}
	w.ask(api.Request{Target: api.Target{Kind: api.PodKind, Key: api.KeyOf(p)}, Verb: api.VerbPatch, Patch: &api.Patch{Type: types.StrategicMergePatchType,
		Data: fmt.Appendf(nil, `{"spec":{"containers":[{"name":"main","image":"app:%d"}]}}`, 1+w.dice.IntN(5))}})
}

// bindsPod does the scheduler's work by hand, as a scheduler of one's own would, on a node that has room.
func (w *World) bindsPod() {
	p, ok := w.somePod(func(p *corev1.Pod) bool { return p.Spec.NodeName == "" && p.DeletionTimestamp == nil })
	if !ok {
		return
	}
	m := pick(w, w.machines)
	if !w.fits(p, m) {
		return
	}
	w.ask(api.Request{Target: api.Target{Kind: api.PodKind, Key: api.KeyOf(p), Sub: "binding"}, Verb: api.VerbCreate,
		Body: &corev1.Binding{ObjectMeta: metav1.ObjectMeta{Namespace: p.Namespace, Name: p.Name}, Target: corev1.ObjectReference{Kind: "Node", Name: m.name}}})
}

func (w *World) fits(p *corev1.Pod, m *machine) bool {
	cpu, n := w.load(m.name, 0)
	return cpu+requests(p) <= capacity.Cpu().MilliValue() && n < capacity.Pods().Value()
}

// relabelsPod takes a Pod out of its ReplicaSet's hands, or back.
func (w *World) relabelsPod() {
	p, ok := w.somePod(func(p *corev1.Pod) bool { return p.Labels["app"] != "" })
	if !ok {
		return
	}
	if p.Labels["app"] == "debug" {
		w.patch(api.PodKind, api.KeyOf(p), `{"metadata":{"labels":{"app":%q}}}`, pick(w, []string{"web", "api", "db"}))
	} else {
		w.patch(api.PodKind, api.KeyOf(p), `{"metadata":{"labels":{"app":"debug"}}}`)
	}
}

// createsOwnedPod makes a ConfigMap and, at once, a Pod that it owns.
func (w *World) createsOwnedPod() {
	key := api.Key{Namespace: "default", Name: fmt.Sprint("owner-", w.dice.IntN(3))}
	w.create(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name}})
	owner, ok := get(w.history, api.ConfigMaps, key)
	if !ok {
		return
	}
	w.create(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: fmt.Sprint("owned-", w.dice.IntN(3)),
		OwnerReferences: []metav1.OwnerReference{{APIVersion: "v1", Kind: "ConfigMap", Name: key.Name, UID: owner.UID}}}, Spec: w.podSpec()})
}

func (w *World) deletesOwner() {
	if list := all(w.history, api.ConfigMaps); len(list) > 0 {
		w.remove(api.ConfigMapKind, api.KeyOf(pick(w, list)), api.Options{Propagation: pick(w, propagations)})
	}
}

func (w *World) togglesNamespace() {
	key := api.Key{Name: "shop"}
	if _, exists := get(w.history, api.Namespaces, key); exists && w.dice.IntN(3) == 0 {
		w.remove(api.NamespaceKind, key, api.Options{})
		return
	}
	w.create(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop"}})
}

func (w *World) cordons() {
	if nodes := all(w.history, api.Nodes); len(nodes) > 0 {
		n := pick(w, nodes)
		w.patch(api.NodeKind, api.KeyOf(n), `{"spec":{"unschedulable":%t}}`, !n.Spec.Unschedulable && w.dice.IntN(3) == 0)
	}
}

// leavesTidy is the user's last deed: everything is resumed, and small enough to fit. What the other deeds have left without an owner goes.
func (w *World) leavesTidy() {
	for _, n := range all(w.history, api.Nodes) {
		if n.Spec.Unschedulable {
			w.patch(api.NodeKind, api.KeyOf(n), `{"spec":{"unschedulable":false}}`)
		}
	}
	for _, s := range all(w.history, api.ReplicaSets) {
		if metav1.GetControllerOf(s) == nil && s.DeletionTimestamp == nil {
			w.remove(api.ReplicaSetKind, api.KeyOf(s), api.Options{})
		}
	}
	for _, p := range all(w.history, api.Pods) {
		if metav1.GetControllerOf(p) == nil && p.Labels["app"] != "" && p.DeletionTimestamp == nil {
			w.remove(api.PodKind, api.KeyOf(p), api.Options{})
		}
	}
	for _, d := range all(w.history, api.Deployments) {
		cpu := d.Spec.Template.Spec.Containers[0].Resources.Requests.Cpu()
		if d.DeletionTimestamp == nil && (d.Spec.Paused || *d.Spec.Replicas > 2 || cpu.MilliValue() > 300) {
			w.ask(api.Request{Target: api.Target{Kind: api.DeploymentKind, Key: api.KeyOf(d)}, Verb: api.VerbPatch, Patch: &api.Patch{Type: types.StrategicMergePatchType,
				Data: fmt.Appendf(nil, `{"spec":{"paused":false,"replicas":%d,"template":{"spec":{"containers":[{"name":"main","resources":{"requests":{"cpu":"300m"}}}]}}}}`, min(2, *d.Spec.Replicas))}})
		}
	}
}

// makesRoom lets the largest Pod go that nobody would replace, if one fits nowhere although all else is small.
func (w *World) makesRoom() {
	var crowded bool
	var largest *corev1.Pod
	for _, p := range all(w.history, api.Pods) {
		fits := func(m *machine) bool { return w.fits(p, m) }
		crowded = crowded || p.Spec.NodeName == "" && !slices.ContainsFunc(w.machines, fits)
		if metav1.GetControllerOf(p) == nil && p.DeletionTimestamp == nil && !api.Ended(p) && (largest == nil || requests(p) > requests(largest)) {
			largest = p
		}
	}
	if crowded && largest != nil {
		w.remove(api.PodKind, api.KeyOf(largest), api.Options{})
	}
}
