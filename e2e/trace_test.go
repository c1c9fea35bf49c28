package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/url"
	"os"
	"sync"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"optimist/apiserver/store"
	"optimist/ctl/trace"
	"optimist/internal/api"
)

// TestTracesAreCompleteAndPure changes a hundred workloads at once and draws a tree for each. What belongs into which tree is found out in another
// way than by causes: by who owns whom, in every state of every object that the store has ever held. OPTIMIST_LONG=1 does it twenty times.
func TestTracesAreCompleteAndPure(t *testing.T) {
	if os.Getenv("OPTIMIST_LONG") != "" {
		for range 19 {
			t.Run("once more", func(t *testing.T) { traces(t, 2+rand.IntN(12)) })
		}
	}
	for nodes, name := range map[int]string{12: "with room for all", 2: "with pods that wait for others to go"} {
		t.Run(name, func(t *testing.T) { traces(t, nodes) })
	}
}

func traces(t *testing.T, nodes int) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	inBubble(t, nodes, func(_ store.Store, svc api.Service) {
		for i := range 50 {
			write(t, svc, creation(api.DeploymentKind, deployment(fmt.Sprint("old-", i), 1+random.IntN(4))))
		}
		time.Sleep(3 * time.Minute)
		roots := make([]api.Result, 100)
		var group sync.WaitGroup
		for i, change := range changes(random) {
			group.Go(func() { roots[i] = write(t, svc, change) })
		}
		group.Wait()
		time.Sleep(5 * time.Minute)
		entries := told(t, svc)
		compare(t, roots, entries, lineage(t, svc, entries))
	})
}

// changes are a hundred, each of another workload.
func changes(random *rand.Rand) (all []api.Request) {
	for i := range 25 {
		all = append(all, creation(api.DeploymentKind, deployment(fmt.Sprint("new-", i), 1+random.IntN(6))))
		all = append(all, creation(api.PodKind, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: fmt.Sprint("bare-", i)}, Spec: podSpec()}))
	}
	for i := range 50 {
		r := api.Request{Target: api.Target{Kind: api.DeploymentKind, Key: api.Key{Namespace: "default", Name: fmt.Sprint("old-", i)}}, Verb: api.VerbPatch}
		r.Patch = &api.Patch{Type: types.StrategicMergePatchType}
		switch random.IntN(4) {
		case 0:
			r.Patch.Data = []byte(`{"spec":{"replicas":0}}`)
		case 1:
			r.Patch.Data = fmt.Appendf(nil, `{"spec":{"replicas":%d}}`, 5+random.IntN(5))
		case 2:
			r.Patch.Data = []byte(`{"spec":{"template":{"spec":{"containers":[{"name":"c","image":"web:2"}]}}}}`)
		default:
			r.Verb, r.Patch = api.VerbDelete, nil
		}
		all = append(all, r)
	}
	random.Shuffle(len(all), func(a, b int) { all[a], all[b] = all[b], all[a] })
	return all
}

func creation(k *api.Kind, o api.Object) api.Request {
	return api.Request{Target: api.Target{Kind: k, Key: api.KeyOf(o)}, Verb: api.VerbCreate, Body: o}
}

func deployment(name string, replicas int) *appsv1.Deployment {
	labels := map[string]string{"app": name}
	return &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}, Spec: appsv1.DeploymentSpec{
		Replicas: new(int32(replicas)), Selector: &metav1.LabelSelector{MatchLabels: labels},
		Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: podSpec()}}}
}

func podSpec() corev1.PodSpec {
	return corev1.PodSpec{TerminationGracePeriodSeconds: new(int64(1)), Containers: []corev1.Container{{Name: "c", Image: "web:1"}}}
}

func write(t *testing.T, svc api.Service, r api.Request) api.Result {
	result, err := svc.Write(t.Context(), r)
	if err != nil {
		t.Error(err)
	}
	return result
}

// told is the whole journal, as the API server tells it.
func told(t *testing.T, svc api.Service) (all []api.Entry) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background()) // one of this bubble
	defer cancel()
	stream, err := svc.Connect(ctx, api.Target{Kind: api.ComponentStatusKind, Key: api.Key{Name: "apiserver"}, Sub: "journal"}, url.Values{})
	var text bytes.Buffer
	for err == nil {
		var f api.Frame
		if f, err = stream.Recv(); f.Channel == api.ChannelStdout {
			text.Write(f.Data)
		}
	}
	if !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	for line := range bytes.Lines(text.Bytes()) {
		var e api.Entry
		if err := json.Unmarshal(line, &e); err != nil {
			t.Fatal(err)
		}
		all = append(all, e)
	}
	return all
}

// lineage finds the workload behind each change of an object: the last of its owners, or of what an Event is about.
func lineage(t *testing.T, svc api.Service, entries []api.Entry) map[change]types.UID {
	t.Helper()
	owner, found := map[types.UID]types.UID{}, map[change]types.UID{}
	for _, e := range entries {
		for _, c := range e.Changed {
			k := api.Builtin.Kind(c.Object.GroupKind())
			if k == nil {
				continue // a claim, an epoch
			}
			at := e.Revision
			if c.Gone {
				at--
			}
			r, err := svc.Get(t.Context(), api.Target{Kind: k, Key: c.Object.Key()}, api.GetOptions{At: at})
			if err != nil {
				t.Fatal(err)
			}
			uid := r.Object.GetUID()
			for _, ref := range r.Object.GetOwnerReferences() {
				owner[uid] = ref.UID
			}
			if about, ok := r.Object.(*corev1.Event); ok {
				uid = about.InvolvedObject.UID
			}
			found[change{e.Revision, c.Key}] = uid
		}
	}
	for c, uid := range found {
		for owner[uid] != "" {
			uid = owner[uid]
		}
		found[c] = uid
	}
	return found
}

// change is what happened to a key at a revision.
type change struct {
	revision api.Revision
	key      string
}

// compare draws the tree of each root and looks for what is missing in it and for what should not be there.
func compare(t *testing.T, roots []api.Result, entries []api.Entry, whose map[change]types.UID) {
	t.Helper()
	in, missing, strange := 0, 0, 0
	for _, root := range roots {
		var tree *trace.Tree
		for _, e := range entries {
			switch {
			case e.Revision == root.Revision:
				tree = trace.New(e)
				continue
			case tree == nil:
				continue
			}
			its := false
			for _, c := range e.Changed {
				its = its || whose[change{e.Revision, c.Key}] == root.Object.GetUID()
			}
			tree.Add(e)
			switch has := tree.Has(e.Revision); {
			case has && its:
				in++
			case has:
				strange++
				t.Errorf("%s is in the trace of %s at %d", describe(e), api.KeyOf(root.Object), root.Revision)
			case its:
				missing++
				t.Errorf("%s is missing in the trace of %s at %d", describe(e), api.KeyOf(root.Object), root.Revision)
			}
		}
	}
	t.Logf("%d revisions; in the hundred traces are %d writes, %d are missing, %d do not belong there", len(entries), in, missing, strange)
	if in < 2000 {
		t.Errorf("only %d writes came of a hundred changes", in)
	}
}

func describe(e api.Entry) string {
	return fmt.Sprintf("revision %d (%s: %s, because of %v)", e.Revision, trace.Who(e), trace.Did(e)+" "+trace.Object(e, "default"), e.Causes)
}
