package apitest

import (
	"fmt"
	"strings"
	"sync"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"optimist/internal/api"
)

const plainMap = `
apiVersion: v1
kind: ConfigMap
metadata: {name: a, namespace: default, labels: {app: web}}
data: {k: v}`

const boundPod = `
apiVersion: v1
kind: Pod
metadata: {name: p, namespace: default}
spec:
  nodeName: n1
  containers: [{name: c, image: i}]`

const deployment = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: default}
spec:
  replicas: 1
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers: [{name: c, image: i}]`

func create(s *suite) {
	o := s.create(plainMap)
	if o.GetUID() == "" || o.GetResourceVersion() == "" || o.GetCreationTimestamp().Time.IsZero() {
		s.Errorf("uid, resourceVersion or creationTimestamp is missing: %+v", o)
	}
	s.equal("kind", o.GetObjectKind().GroupVersionKind().Kind, "ConfigMap")
	s.equal("the object read", s.get(o).GetUID(), o.GetUID())

	named := with(o, func(c *corev1.ConfigMap) {
		c.ObjectMeta = metav1.ObjectMeta{Namespace: "default", GenerateName: "some-"}
	})
	got := s.must(s.try(api.VerbCreate, named, "", api.Options{}))
	if name := got.GetName(); len(name) != len("some-")+5 || !strings.HasPrefix(name, "some-") {
		s.Errorf("generated the name %q", name)
	}
}

func createRefuses(s *suite) {
	s.create(plainMap)
	for _, row := range []struct {
		why    string
		change func(*corev1.ConfigMap)
		reason metav1.StatusReason
		words  string
	}{
		{"a name that is taken", func(c *corev1.ConfigMap) { c.Name = "a" }, metav1.StatusReasonAlreadyExists, `configmaps "a" already exists`},
		{"a resourceVersion", func(c *corev1.ConfigMap) { c.ResourceVersion = "1" }, metav1.StatusReasonBadRequest, "resourceVersion should not be set"},
		{"a missing namespace", func(c *corev1.ConfigMap) { c.Namespace = "nope" }, metav1.StatusReasonNotFound, `namespaces "nope" not found`},
		{"no namespace", func(c *corev1.ConfigMap) { c.Namespace = "" }, metav1.StatusReasonBadRequest, "namespace"},
		{"no name", func(c *corev1.ConfigMap) { c.Name = "" }, metav1.StatusReasonInvalid, "name or generateName is required"},
		{"a bad name", func(c *corev1.ConfigMap) { c.Name = "No_Name" }, metav1.StatusReasonInvalid, "metadata.name"},
		{"a bad label", func(c *corev1.ConfigMap) { c.Labels = map[string]string{"a b": ""} }, metav1.StatusReasonInvalid, "metadata.labels"},
		{"huge annotations", func(c *corev1.ConfigMap) { c.Annotations = map[string]string{"a": strings.Repeat("x", 256<<10)} }, metav1.StatusReasonInvalid, "metadata.annotations"},
		{"a bad finalizer", func(c *corev1.ConfigMap) { c.Finalizers = []string{"a b"} }, metav1.StatusReasonInvalid, "metadata.finalizers"},
		{"an owner without uid", func(c *corev1.ConfigMap) {
			c.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "Pod", Name: "p"}}
		}, metav1.StatusReasonInvalid, "metadata.ownerReferences[0].uid"},
		{"another kind", func(c *corev1.ConfigMap) { c.Kind = "Secret" }, metav1.StatusReasonBadRequest, "Secret"},
		{"another version", func(c *corev1.ConfigMap) { c.APIVersion = "v2" }, metav1.StatusReasonBadRequest, "does not match the expected API version"},
	} {
		o := As[*corev1.ConfigMap](s, plainMap)
		o.Name = "b"
		row.change(o)
		_, err := s.try(api.VerbCreate, o, "", api.Options{})
		if !s.fails(err, row.reason, row.words) {
			s.Fatalf("… when it is created with %s", row.why)
		}
	}
	wrong := s.target(As[*corev1.ConfigMap](s, plainMap), "")
	wrong.Key.Name = "other"
	_, err := s.Write(s.ctx, api.Request{Target: wrong, Verb: api.VerbCreate, Body: Object(s, plainMap)})
	s.fails(err, metav1.StatusReasonBadRequest, "does not match the name on the URL")
	huge := As[*appsv1.Deployment](s, deployment)
	huge.Spec.Template.Spec.Containers[0].Args = []string{strings.Repeat("x", 3<<19)}
	_, err = s.try(api.VerbCreate, huge, "", api.Options{})
	s.fails(err, metav1.StatusReasonRequestEntityTooLarge, "at most 1572864 are allowed")
}

func strict(s *suite) {
	const faulty = `{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": {
		"replica": 2, "replicas": "three", "selector": {"matchLabels": {"app": "web"}},
		"template": {"metadata": {"labels": {"app": "web"}}, "nodeName": "n1",
			"spec": {"containers": [{"name": "c", "image": "i", "image": "j"}]}}}}`
	send := func(v api.FieldValidation, media, data string) (api.Result, error) {
		return s.Write(s.ctx, api.Request{Target: api.Target{Kind: api.DeploymentKind, Key: api.Key{Namespace: "default", Name: "web"}},
			Verb: api.VerbCreate, Raw: &api.Raw{MediaType: media, Data: []byte(data)}, Options: api.Options{Validation: v}})
	}
	_, err := send("", "application/json", faulty)
	s.fails(err, metav1.StatusReasonBadRequest, `unknown field "spec.replica"`, `did you mean "replicas"`, "spec.replicas: must be an integer",
		`unknown field "spec.template.nodeName"`, "belongs at spec.template.spec.nodeName", `duplicate field "spec.template.spec.containers[0].image"`)
	fixed := strings.Replace(faulty, `"three"`, "3", 1)
	res, err := send(api.Warn, "application/json", fixed)
	if err != nil {
		s.Fatal(err)
	}
	if all := strings.Join(res.Warnings, "\n"); !strings.Contains(all, `unknown field "spec.replica"`) || !strings.Contains(all, "duplicate field") {
		s.Errorf("the warnings are %q", res.Warnings)
	}
	s.equal("replicas", *res.Object.(*appsv1.Deployment).Spec.Replicas, int32(3))
	_, err = send("", "application/json", `{"apiVersion"`)
	s.fails(err, metav1.StatusReasonBadRequest)
	_, err = send("", "application/yaml", plainMap)
	s.fails(err, metav1.StatusReasonBadRequest, "the kind in the data (ConfigMap) does not match the expected kind (Deployment)")
	_, err = send("", "text/plain", `x`)
	s.fails(err, metav1.StatusReasonUnsupportedMediaType)
	_, err = send("", "application/yaml", deployment)
	s.fails(err, metav1.StatusReasonAlreadyExists)
}

func update(s *suite) {
	first := s.create(plainMap)
	second := s.update(with(first, func(c *corev1.ConfigMap) { c.Data["k"] = "w" }), "")
	if api.RevisionOf(second) <= api.RevisionOf(first) {
		s.Errorf("revision %s after %s", second.GetResourceVersion(), first.GetResourceVersion())
	}
	s.equal("uid", second.GetUID(), first.GetUID())

	_, err := s.try(api.VerbUpdate, with(first, func(c *corev1.ConfigMap) { c.Data["k"] = "x" }), "", api.Options{})
	s.fails(err, metav1.StatusReasonConflict, "the object has been modified; please apply your changes to the latest version and try again")
	_, err = s.try(api.VerbUpdate, with(second, func(c *corev1.ConfigMap) { c.UID = "other" }), "", api.Options{})
	s.fails(err, metav1.StatusReasonConflict, "Precondition failed: UID")
	_, err = s.try(api.VerbUpdate, with(second, func(c *corev1.ConfigMap) { c.Name, c.ResourceVersion, c.UID = "none", "", "" }), "", api.Options{})
	s.fails(err, metav1.StatusReasonNotFound, `configmaps "none" not found`)

	blind := with(second, func(c *corev1.ConfigMap) {
		c.ResourceVersion, c.UID, c.CreationTimestamp = "", "", metav1.Time{}
		c.Data["k"] = "y"
	})
	third := s.update(blind, "")
	s.equal("data", third.(*corev1.ConfigMap).Data["k"], "y")
	s.equal("uid after an unconditional update", third.GetUID(), first.GetUID())
	s.equal("creationTimestamp", third.GetCreationTimestamp().Unix(), first.GetCreationTimestamp().Unix())

	same := s.update(copyOf[*corev1.ConfigMap](third), "")
	s.equal("revision after a write that changes nothing", same.GetResourceVersion(), third.GetResourceVersion())
	ended := with(third, func(c *corev1.ConfigMap) { c.DeletionTimestamp = &metav1.Time{}; c.Generation = 7 })
	if got := s.update(ended, ""); got.GetDeletionTimestamp() != nil || got.GetGeneration() == 7 {
		s.Errorf("a client has set deletionTimestamp or generation: %+v", got)
	}
}

func patch(s *suite) {
	web := s.create(deployment)
	containers := func(o api.Object) (all []string) {
		for _, c := range o.(*appsv1.Deployment).Spec.Template.Spec.Containers {
			all = append(all, c.Name+"="+c.Image)
		}
		return all
	}
	for _, row := range []struct {
		type_ types.PatchType
		data  string
		want  string // containers, replicas, label x
	}{
		{types.StrategicMergePatchType, `{"spec":{"template":{"spec":{"containers":[{"name":"d","image":"k"}]}}}}`, "[d=k c=i] 1 "},
		{types.StrategicMergePatchType, `{"spec":{"template":{"spec":{"containers":[{"name":"d","$patch":"delete"}]}}}}`, "[c=i] 1 "},
		{types.MergePatchType, `{"metadata":{"labels":{"x":"1"}},"spec":{"replicas":4}}`, "[c=i] 4 1"},
		{types.MergePatchType, `{"metadata":{"labels":{"x":null}}}`, "[c=i] 4 "},
		{types.JSONPatchType, `[{"op":"test","path":"/spec/replicas","value":4},{"op":"replace","path":"/spec/replicas","value":5}]`, "[c=i] 5 "},
		{types.JSONPatchType, `[{"op":"add","path":"/spec/template/spec/containers/-","value":{"name":"e","image":"l"}}]`, "[c=i e=l] 5 "},
		{types.JSONPatchType, `[{"op":"remove","path":"/spec/template/spec/containers/0"}]`, "[e=l] 5 "},
	} {
		got := s.must(s.tryPatch(web, row.type_, row.data))
		if have := fmt.Sprintf("%v %d %s", containers(got), *got.(*appsv1.Deployment).Spec.Replicas, got.GetLabels()["x"]); have != row.want {
			s.Errorf("after %s it is %q, want %q", row.data, have, row.want)
		}
	}
	for _, row := range []struct {
		type_  types.PatchType
		data   string
		reason metav1.StatusReason
		words  string
	}{
		{types.JSONPatchType, `[{"op":"test","path":"/spec/replicas","value":9}]`, metav1.StatusReasonInvalid, "test failed"},
		{types.JSONPatchType, `[{"op":"remove","path":"/spec/nothing"}]`, metav1.StatusReasonInvalid, "nonexistent key"},
		{types.JSONPatchType, `{`, metav1.StatusReasonBadRequest, "decoding patch"},
		{types.MergePatchType, `[]`, metav1.StatusReasonBadRequest, "decoding patch"},
		{types.MergePatchType, `{"spec":{"replicsa":1}}`, metav1.StatusReasonBadRequest, `did you mean "replicas"`},
		{types.MergePatchType, `{"spec":{"replicas":-1}}`, metav1.StatusReasonInvalid, "spec.replicas"},
		{types.MergePatchType, `{"metadata":{"resourceVersion":"1"}}`, metav1.StatusReasonConflict, "modified"},
		{types.MergePatchType, `{"metadata":{"name":"other"}}`, metav1.StatusReasonBadRequest, "name"},
		{"application/x-unknown", `{}`, metav1.StatusReasonUnsupportedMediaType, ""},
	} {
		_, err := s.tryPatch(web, row.type_, row.data)
		if !s.fails(err, row.reason, row.words) {
			s.Fatalf("… for the patch %s", row.data)
		}
	}
	absent := with(web, func(d *appsv1.Deployment) { d.Name = "none" })
	_, err := s.tryPatch(absent, types.MergePatchType, `{}`)
	s.fails(err, metav1.StatusReasonNotFound)
}

// Patches without a resourceVersion do not conflict: the service tries again.
func patchConcurrently(s *suite) {
	o := s.create(plainMap)
	var all sync.WaitGroup
	for n := range 16 {
		all.Go(func() {
			if _, err := s.tryPatch(o, types.MergePatchType, fmt.Sprintf(`{"data":{"k%d":"v"}}`, n)); err != nil {
				s.Error(err)
			}
		})
	}
	all.Wait()
	s.equal("number of keys", len(s.get(o).(*corev1.ConfigMap).Data), 17)
}

func dryRun(s *suite) {
	dry := api.Options{DryRun: true}
	tried := s.must(s.try(api.VerbCreate, Object(s, plainMap), "", dry))
	if s.get(tried) != nil {
		s.Error("a dry run has created the object")
	}
	o := s.create(plainMap)
	_, err := s.try(api.VerbCreate, Object(s, plainMap), "", dry)
	s.fails(err, metav1.StatusReasonAlreadyExists)
	changed := s.must(s.try(api.VerbUpdate, with(o, func(c *corev1.ConfigMap) { c.Data["k"] = "w" }), "", dry))
	s.equal("what a dry update answers", changed.(*corev1.ConfigMap).Data["k"], "w")
	s.must(s.tryDelete(o, dry))
	s.equal("data after dry runs", s.get(o).(*corev1.ConfigMap).Data["k"], "v")
}

func generation(s *suite) {
	o := s.create(deployment)
	s.equal("generation of a new object", o.GetGeneration(), int64(1))
	o = s.update(with(o, func(d *appsv1.Deployment) { d.Labels = map[string]string{"x": "y"}; d.Status.Replicas = 9 }), "")
	s.equal("generation after a label", o.GetGeneration(), int64(1))
	s.equal("status after an update of the main resource", o.(*appsv1.Deployment).Status.Replicas, int32(0))
	o = s.update(with(o, func(d *appsv1.Deployment) { d.Spec.Replicas = new(int32(2)) }), "")
	s.equal("generation after a change of spec", o.GetGeneration(), int64(2))
	o = s.update(with(o, func(d *appsv1.Deployment) {
		d.Status = appsv1.DeploymentStatus{ObservedGeneration: 2, Replicas: 2}
		d.Spec.Replicas, d.Labels = new(int32(7)), nil
	}), "status")
	s.equal("status", o.(*appsv1.Deployment).Status.Replicas, int32(2))
	s.equal("spec after an update of status", *o.(*appsv1.Deployment).Spec.Replicas, int32(2))
	s.equal("label after an update of status", o.GetLabels()["x"], "y")
	s.equal("generation after an update of status", o.GetGeneration(), int64(2))
}

func subresources(s *suite) {
	web := s.create(deployment)
	at := s.target(web, "scale")
	res, err := s.Get(s.ctx, at, api.GetOptions{})
	scale, ok := res.Object.(*autoscalingv1.Scale)
	if err != nil || !ok {
		s.Fatalf("get scale: %T, %v", res.Object, err)
	}
	scale = scale.DeepCopy()
	scale.Spec.Replicas = 3
	if _, err := s.Write(s.ctx, api.Request{Target: at, Verb: api.VerbUpdate, Body: scale.DeepCopy()}); err != nil {
		s.Fatal(err)
	}
	s.equal("replicas", *s.get(web).(*appsv1.Deployment).Spec.Replicas, int32(3))
	scale.Spec.Replicas = 4
	_, err = s.Write(s.ctx, api.Request{Target: at, Verb: api.VerbUpdate, Body: scale})
	s.fails(err, metav1.StatusReasonConflict)

	res, err = s.Write(s.ctx, api.Request{Target: at, Verb: api.VerbPatch, Patch: &api.Patch{Type: types.MergePatchType, Data: []byte(`{"spec":{"replicas":5}}`)}})
	if err != nil || res.Object.(*autoscalingv1.Scale).Spec.Replicas != 5 {
		s.Errorf("patch of scale: %v, %v", res.Object, err)
	}

	pod := s.create(strings.Replace(boundPod, "nodeName: n1", "", 1))
	s.conditions(pod)
	binding := &corev1.Binding{ObjectMeta: metav1.ObjectMeta{Name: "p", Namespace: "default", UID: pod.GetUID()}, Target: corev1.ObjectReference{Kind: "Node", Name: "n1"}}
	bind := api.Request{Target: s.target(pod, "binding"), Verb: api.VerbCreate, Body: binding.DeepCopy()}
	if _, err := s.Write(s.ctx, bind); err != nil {
		s.Fatal(err)
	}
	s.equal("the pod's node", s.get(pod).(*corev1.Pod).Spec.NodeName, "n1")
	binding.Target.Name = "n2"
	bind.Body = binding
	if _, err := s.Write(s.ctx, bind); !apierrors.IsConflict(err) {
		s.Errorf("a bound pod was bound again: %v", err)
	}
	_, err = s.Get(s.ctx, s.target(web, "nonsense"), api.GetOptions{})
	s.fails(err, metav1.StatusReasonNotFound)
}

// conditions: those who write a pod's status share it by patching each their own condition.
func (s *suite) conditions(pod api.Object) {
	s.Helper()
	for _, type_ := range []string{"Ready", "Initialized", "Ready"} {
		data := fmt.Sprintf(`{"metadata":{"labels":{"not":"mine"}},"spec":{"nodeName":"n9"},"status":{"conditions":[{"type":%q,"status":"True"}]}}`, type_)
		if _, err := api.Pods.Patch(s.ctx, s, api.KeyOf(pod), "status", types.StrategicMergePatchType, []byte(data)); err != nil {
			s.Fatal(err)
		}
	}
	now := s.get(pod).(*corev1.Pod)
	s.equal("number of conditions", len(now.Status.Conditions), 2)
	s.equal("node after a patch of status", now.Spec.NodeName, "")
	s.equal("label after a patch of status", now.Labels["not"], "")
}

// The mutation detector: what went in or came out is nobody else's.
func notShared(s *suite) {
	s.Service = s.detector.Service // for here it is the test that changes things
	body := As[*corev1.ConfigMap](s, plainMap)
	created := s.must(s.try(api.VerbCreate, body, "", api.Options{})).(*corev1.ConfigMap)
	body.Data["k"], body.Labels["app"] = "changed", "changed"
	s.equal("what create returned, after its body was changed", created.Data["k"], "v")
	created.Data["k"] = "changed"
	read := s.get(created).(*corev1.ConfigMap)
	s.equal("what is stored, after an answer was changed", read.Data["k"], "v")
	read.Data["k"] = "changed"
	s.equal("what is read, after a reader's copy was changed", s.get(created).(*corev1.ConfigMap).Data["k"], "v")
	for range 2 {
		l, err := s.List(s.ctx, api.Target{Kind: api.ConfigMapKind, Key: api.Key{Namespace: "default"}}, api.ListOptions{})
		if err != nil {
			s.Fatal(err)
		}
		listed := l.Items[0].(*corev1.ConfigMap)
		s.equal("what is listed", listed.Data["k"], "v")
		listed.Data["k"] = "changed"
	}
}
