package controllers

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"optimist/apiserver/registry"
	"optimist/apiserver/registry/kinds"
	"optimist/apiserver/store/memory"
	"optimist/internal/api"
	"optimist/internal/api/apitest"
)

// cluster is a registry, the controllers, and a kubelet that makes every Pod ready after a second and lets it end when it is told to.
type cluster struct {
	*testing.T
	svc api.Service
}

func inBubble(t *testing.T, story func(c cluster)) {
	withoutControllers(t, func(c cluster) {
		c.controllers(directly)
		story(c)
	})
}

func withoutControllers(t *testing.T, story func(c cluster)) {
	t.Setenv("OPTIMIST_DETECT_MUTATIONS", "1")
	synctest.Test(t, func(t *testing.T) {
		s := memory.New()
		r, err := registry.New(s, registry.Options{Rules: kinds.All()})
		if err != nil {
			t.Fatal(err)
		}
		c := cluster{t, r}
		c.background(r.Run)
		t.Cleanup(func() { s.Close() })
		synctest.Wait()
		c.background(c.kubelet)
		story(c)
	})
}

// controllers runs the controllers until stop; each calls its Service through `through`.
func (c cluster) controllers(through func(api.Service) api.Service) (stop func()) {
	as := func(string) api.Service { return through(c.svc) }
	return c.background(New(Config{Service: as, ID: "test", Log: slog.New(slog.DiscardHandler)}).Run)
}

func directly(s api.Service) api.Service { return s }

// background runs a part until stop, or the test's end.
func (c cluster) background(run func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(c.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := run(ctx); err != nil && ctx.Err() == nil {
			c.Error(err)
		}
	}()
	stop = func() {
		cancel()
		<-done
	}
	c.Cleanup(stop)
	return stop
}

const ready = `{"status":{"phase":"Running","conditions":[{"type":"Ready","status":"True","lastTransitionTime":%q}]}}`

func (c cluster) kubelet(ctx context.Context) error {
	batches, err := c.svc.Watch(ctx, api.Target{Kind: api.PodKind}, api.WatchOptions{Initial: true})
	if err != nil {
		return err
	}
	for events, err := range batches {
		if err != nil {
			return nil
		}
		for _, e := range events {
			switch {
			case e.Type == api.Added:
				go c.start(ctx, api.KeyOf(e.Object))
			case e.Type == api.Modified && e.Object.GetDeletionTimestamp() != nil:
				now := int64(0)
				if err := api.Pods.Delete(ctx, c.svc, api.KeyOf(e.Object), api.Options{Grace: &now}); err != nil && !apierrors.IsNotFound(err) {
					return err
				}
			}
		}
	}
	return nil
}

func (c cluster) start(ctx context.Context, key api.Key) {
	select {
	case <-time.After(time.Second):
	case <-ctx.Done():
		return
	}
	patch := fmt.Sprintf(ready, time.Now().UTC().Format(time.RFC3339))
	_, err := api.Pods.Patch(ctx, c.svc, key, "status", types.StrategicMergePatchType, []byte(patch))
	if err != nil && !apierrors.IsNotFound(err) && ctx.Err() == nil {
		c.Error(err)
	}
}

func (c cluster) advance(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func (c cluster) apply(text string) { c.create(apitest.Object(c, text)) }

func (c cluster) create(o api.Object) {
	c.Helper()
	k := api.Builtin.Of(o)
	if _, err := c.svc.Write(c.Context(), api.Request{Target: api.Target{Kind: k, Key: api.KeyOf(o)}, Verb: api.VerbCreate, Body: o}); err != nil {
		c.Fatal(err)
	}
}

func (c cluster) patch(k *api.Kind, name, data string) {
	c.Helper()
	r := api.Request{Target: api.Target{Kind: k, Key: api.Key{Namespace: "default", Name: name}}, Verb: api.VerbPatch, Patch: &api.Patch{Type: types.MergePatchType, Data: []byte(data)}}
	if _, err := c.svc.Write(c.Context(), r); err != nil {
		c.Fatal(err)
	}
}

func (c cluster) deployment() *appsv1.Deployment {
	c.Helper()
	d, err := api.Deployments.Get(c.Context(), c.svc, api.Key{Namespace: "default", Name: "web"})
	if err != nil {
		c.Fatal(err)
	}
	return d
}

// available expects a Deployment to be complete.
func (c cluster) available(n int32) {
	c.Helper()
	s := c.deployment().Status
	if s.Replicas != n || s.UpdatedReplicas != n || s.AvailableReplicas != n {
		c.Fatalf("want %d updated and available, have %+v", n, s)
	}
}

func list[T api.Object](c cluster, of api.Of[T], namespace string) []T {
	c.Helper()
	all, err := of.List(c.Context(), c.svc, namespace, api.ListOptions{})
	if err != nil {
		c.Fatal(err)
	}
	return all
}

func (c cluster) messages(reason string) []string {
	var all []string
	for _, e := range list(c, api.Events, "default") {
		if e.Reason == reason {
			all = append(all, e.Message)
		}
	}
	slices.Sort(all)
	return all
}

const web = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: default, annotations: {kubernetes.io/change-cause: first}}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: "web:1"}]}
`

const secondImage = `{"spec":{"template":{"spec":{"containers":[{"name":"web","image":"web:2"}]}}}}`

func TestADeploymentComesRollsAndGoes(t *testing.T) {
	inBubble(t, func(c cluster) {
		c.apply(web)
		c.advance(10 * time.Second)
		c.available(3)
		sets := list(c, api.ReplicaSets, "default")
		if len(sets) != 1 || sets[0].Annotations["kubernetes.io/change-cause"] != "first" {
			c.Fatalf("want one ReplicaSet with the change's cause, have %+v", sets)
		}
		if got := c.messages("ScalingReplicaSet"); len(got) != 1 || got[0] != "Scaled up replica set "+sets[0].Name+" from 0 to 3" {
			c.Fatal("events:", got)
		}
		if got := c.messages("SuccessfulCreate"); len(got) != 3 {
			c.Fatal("events:", got)
		}

		c.patch(api.DeploymentKind, "web", secondImage)
		c.advance(time.Minute)
		c.available(3)
		for _, p := range list(c, api.Pods, "default") {
			if p.Spec.Containers[0].Image != "web:2" {
				c.Fatal("an old pod is left:", p.Name)
			}
		}
		d := c.deployment()
		if d.Annotations["deployment.kubernetes.io/revision"] != "2" || len(list(c, api.ReplicaSets, "default")) != 2 {
			c.Fatal("want revision 2 and two ReplicaSets, have", d.Annotations)
		}
		if got := progressing(d); got != "NewReplicaSetAvailable" {
			c.Fatal("Progressing because", got)
		}

		if err := api.Deployments.Delete(c.Context(), c.svc, api.KeyOf(d), api.Options{}); err != nil {
			c.Fatal(err)
		}
		c.advance(time.Minute)
		if n := len(list(c, api.ReplicaSets, "default")) + len(list(c, api.Pods, "default")); n != 0 {
			c.Fatalf("%d ReplicaSets and Pods survived their Deployment", n)
		}
	})
}

func progressing(d *appsv1.Deployment) string {
	for _, c := range d.Status.Conditions {
		if c.Type == appsv1.DeploymentProgressing {
			return c.Reason
		}
	}
	return ""
}

func TestRecreateNeverMixesTemplates(t *testing.T) {
	inBubble(t, func(c cluster) {
		c.apply(web)
		c.patch(api.DeploymentKind, "web", `{"spec":{"strategy":{"type":"Recreate","rollingUpdate":null}}}`)
		c.advance(10 * time.Second)
		c.patch(api.DeploymentKind, "web", secondImage)
		for range 300 {
			c.advance(100 * time.Millisecond)
			images := map[string]bool{}
			for _, p := range list(c, api.Pods, "default") {
				images[p.Spec.Containers[0].Image] = true
			}
			if len(images) > 1 {
				c.Fatal("both templates run at once")
			}
		}
		c.available(3)
	})
}

func TestForegroundDeletionWaitsForDependents(t *testing.T) {
	inBubble(t, func(c cluster) {
		c.apply(web)
		c.advance(10 * time.Second)
		held := list(c, api.Pods, "default")[0].Name
		c.patch(api.PodKind, held, `{"metadata":{"finalizers":["example.com/hold"]}}`)
		if err := api.Deployments.Delete(c.Context(), c.svc, api.Key{Namespace: "default", Name: "web"}, api.Options{Propagation: metav1.DeletePropagationForeground}); err != nil {
			c.Fatal(err)
		}
		c.advance(time.Minute)
		if c.deployment().DeletionTimestamp == nil || len(list(c, api.Pods, "default")) != 1 {
			c.Fatal("the Deployment should wait for its last Pod")
		}
		c.patch(api.PodKind, held, `{"metadata":{"finalizers":null}}`)
		c.advance(time.Minute)
		if n := len(list(c, api.Deployments, "default")) + len(list(c, api.ReplicaSets, "default")) + len(list(c, api.Pods, "default")); n != 0 {
			c.Fatalf("%d objects are left", n)
		}
	})
}

func TestOrphansAreLeftBehindAndAdopted(t *testing.T) {
	inBubble(t, func(c cluster) {
		c.apply(web)
		c.advance(10 * time.Second)
		before := list(c, api.Pods, "default")
		if err := api.Deployments.Delete(c.Context(), c.svc, api.Key{Namespace: "default", Name: "web"}, api.Options{Propagation: metav1.DeletePropagationOrphan}); err != nil {
			c.Fatal(err)
		}
		c.advance(time.Minute)
		sets := list(c, api.ReplicaSets, "default")
		if len(list(c, api.Deployments, "default")) != 0 || len(sets) != 1 || len(sets[0].OwnerReferences) != 0 {
			c.Fatal("the Deployment should be gone, its ReplicaSet an orphan")
		}
		c.apply(web)
		c.advance(time.Minute)
		c.available(3)
		after := list(c, api.Pods, "default")
		if sets = list(c, api.ReplicaSets, "default"); len(sets) != 1 || sets[0].OwnerReferences[0].UID != c.deployment().UID {
			c.Fatal("the ReplicaSet should have been adopted")
		}
		if !slices.EqualFunc(before, after, func(a, b *corev1.Pod) bool { return a.UID == b.UID }) {
			c.Fatal("no Pod should have been replaced")
		}
	})
}

func TestANamespaceEmptiesItselfAndSaysWhatHoldsIt(t *testing.T) {
	inBubble(t, func(c cluster) {
		c.apply("apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}")
		c.apply("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: held, namespace: shop, finalizers: [example.com/hold]}")
		c.apply("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: free, namespace: shop}")
		c.apply("apiVersion: v1\nkind: Pod\nmetadata: {name: web, namespace: shop}\nspec: {containers: [{name: web, image: web}]}")
		c.advance(10 * time.Second)
		if err := api.Namespaces.Delete(c.Context(), c.svc, api.Key{Name: "shop"}, api.Options{}); err != nil {
			c.Fatal(err)
		}
		c.advance(time.Minute)
		ns, err := api.Namespaces.Get(c.Context(), c.svc, api.Key{Name: "shop"})
		if err != nil {
			c.Fatal(err)
		}
		said := map[corev1.NamespaceConditionType]string{}
		for _, condition := range ns.Status.Conditions {
			said[condition.Type] = condition.Message
		}
		if got := said[corev1.NamespaceContentRemaining]; got != "Some resources are remaining: configmaps. has 1 resource instances" {
			t.Error(got)
		}
		if got := said[corev1.NamespaceFinalizersRemaining]; got != "Some content in the namespace has finalizers remaining: example.com/hold in 1 resource instances" {
			t.Error(got)
		}
		if _, err := api.ConfigMaps.Patch(c.Context(), c.svc, api.Key{Namespace: "shop", Name: "held"}, "", types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`)); err != nil {
			c.Fatal(err)
		}
		c.advance(time.Minute)
		if _, err := api.Namespaces.Get(c.Context(), c.svc, api.Key{Name: "shop"}); !apierrors.IsNotFound(err) {
			c.Fatal("the namespace should be gone:", err)
		}
	})
}
