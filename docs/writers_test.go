package docs

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"optimist/agent/network"
	"optimist/agent/node"
	"optimist/agent/runtime/sim"
	"optimist/apiserver/registry"
	"optimist/apiserver/store"
	"optimist/apiserver/store/memory"
	"optimist/ctl/inprocess"
	"optimist/internal/api"
	"optimist/internal/api/apitest"
	wire "optimist/proto"
)

// What happens while the cluster lives: everything that a status can tell of, in a namespace of its own.
var life = []string{
	`{apiVersion: v1, kind: Namespace, metadata: {name: shop}}`,
	`{apiVersion: apps/v1, kind: Deployment, metadata: {namespace: shop, name: web}, spec: {replicas: 2, selector: {matchLabels: {a: b}},
	  template: {metadata: {labels: {a: b}}, spec: {containers: [{name: c, image: web}]}}}}`,
	`{apiVersion: v1, kind: Pod, metadata: {namespace: shop, name: too-big}, spec: {containers: [{name: c, image: web, resources: {requests: {cpu: 1k}}}]}}`,
	`{apiVersion: v1, kind: Pod, metadata: {namespace: shop, name: crashes}, spec: {containers: [{name: c, image: web, args: ["sim:crash-every=5s"]}]}}`,
	`{apiVersion: v1, kind: Pod, metadata: {namespace: shop, name: ends}, spec: {restartPolicy: Never, initContainers: [{name: i, image: web, args: ["sim:exit=0"]}],
	  containers: [{name: c, image: web, args: ["sim:exit=1"]}]}}`,
	`{apiVersion: v1, kind: Pod, metadata: {namespace: shop, name: late}, spec: {activeDeadlineSeconds: 10, containers: [{name: c, image: missing}]}}`,
	`{apiVersion: v1, kind: Pod, metadata: {namespace: shop, name: lost}, spec: {nodeName: nowhere, containers: [{name: c, image: web}]}}`,
	`{apiVersion: v1, kind: Service, metadata: {namespace: shop, name: web}, spec: {ports: [{port: 80}]}}`,
}

// TestWhoWroteWhat reads the journal of a cluster that has lived for some minutes: whoever changed a status has a row for what he changed.
func TestWhoWroteWhat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		s := memory.New()
		cluster, err := inprocess.New(inprocess.Config{Store: s, Log: slog.New(slog.DiscardHandler),
			Nodes:  []inprocess.Node{{Name: "n1", Runtime: sim.New(), Network: &network.Loopback{}, Capacity: node.Simulated()}},
			Ranges: registry.Ranges{ClusterCIDR: netip.MustParsePrefix("10.244.0.0/16"), ServiceCIDR: netip.MustParsePrefix("10.96.0.0/16"), NodeBits: 24}})
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- cluster.Run(ctx) }()
		time.Sleep(10 * time.Second)
		live(t, cluster)
		checkJournal(t, s, cluster.Service())
		cancel()
		if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

func live(t *testing.T, cluster *inprocess.Cluster) {
	t.Helper()
	svc := cluster.Service()
	for _, text := range life {
		o := apitest.Object(t, text)
		target := api.Target{Kind: api.Builtin.Of(o), Key: api.KeyOf(o)}
		if _, err := svc.Write(t.Context(), api.Request{Target: target, Verb: api.VerbCreate, Body: o}); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(time.Minute)
	for _, happens := range []func() error{
		func() error { return cluster.Cut("node/n1") }, // silent …
		func() error { return cluster.Join("node/n1") },
		func() error { // … back, and in need of repair
			taint := []byte(`{"spec":{"taints":[{"key":"repair","effect":"NoExecute"}]}}`)
			_, err := api.Nodes.Patch(t.Context(), svc, api.Key{Name: "n1"}, "", types.MergePatchType, taint)
			return err
		},
	} {
		if err := happens(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
	}
	if err := api.Namespaces.Delete(t.Context(), svc, api.Key{Name: "shop"}, api.Options{Propagation: metav1.DeletePropagationBackground}); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Minute)
	if _, err := api.Namespaces.Get(t.Context(), svc, api.Key{Name: "shop"}); !apierrors.IsNotFound(err) {
		t.Fatalf("the namespace is still there: %v", err)
	}
}

// checkJournal compares each revision of a status with the one before.
func checkJournal(t *testing.T, s store.Store, svc api.Service) {
	t.Helper()
	rules := writers(t)
	seen, wrote := map[string]bool{}, map[string]bool{"nobody": true}
	now, err := s.Now(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	batches, err := s.Watch(t.Context(), "/", 0)
	if err != nil {
		t.Fatal(err)
	}
	for b := range batches {
		note := &wire.Note{}
		if err := proto.Unmarshal(b.Note, note); err != nil {
			t.Fatal(err)
		}
		for _, what := range changed(t, svc, note.Target, api.Revision(b.Revision)) {
			who := writer(note)
			seen[what], wrote[who] = true, true
			if !slices.Contains(rules[what], who) {
				t.Errorf("revision %d: %s wrote %s of %s, but docs/status-writers.md has %q", b.Revision, who, what, note.Target.GetName(), rules[what])
			}
		}
		if b.Revision == now {
			break
		}
	}
	if len(seen) < 40 {
		t.Errorf("only %d different things were written: this life is too dull to test anything", len(seen))
	}
	for what, who := range rules {
		for _, w := range who {
			if !wrote[w] {
				t.Errorf("%s is said to write %s, but wrote no status in all this life", w, what)
			}
		}
	}
}

// writers are the two tables: "Pod status.phase" and "Pod Ready" to who may write it.
func writers(t *testing.T) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	for _, heading := range []string{"## Fields", "## Conditions"} {
		for _, row := range rows(t, "status-writers.md", heading) {
			for _, name := range strings.Split(row[1], ", ") {
				all[row[0]+" "+strings.Trim(name, "`")] = strings.Split(row[2], ", ")
			}
		}
	}
	return all
}

// writer is the author of a journal entry in the words of the tables. Whoever does not write a status has the API server do it.
func writer(n *wire.Note) string {
	switch user := n.User; {
	case n.Target.Sub != "status", user == api.UserAPIServer:
		return "API server"
	case strings.HasPrefix(user, api.NodePrefix):
		return "agent"
	default:
		return strings.TrimPrefix(strings.TrimPrefix(user, "system:"), "controller:")
	}
}

// changed names the fields and conditions of a status that a revision changed.
func changed(t *testing.T, svc api.Service, target *wire.Target, at api.Revision) []string {
	t.Helper()
	k := api.Builtin.Kind(schema.GroupKind{Group: target.GetGroup(), Kind: target.GetKind()})
	if k == nil || !k.HasSub("status") {
		return nil
	}
	key := api.Key{Namespace: target.Namespace, Name: target.Name}
	before, _ := statusAt(t, svc, k, key, at-1)
	after, exists := statusAt(t, svc, k, key, at)
	if !exists {
		return nil // removed
	}
	var names []string
	for name, value := range after {
		if !bytes.Equal(value, before[name]) {
			names = append(names, k.Name+" "+name)
		}
	}
	return names
}

// statusAt is an object's status as it was: by field, and by type of condition. What does not exist has an empty one.
func statusAt(t *testing.T, svc api.Service, k *api.Kind, key api.Key, at api.Revision) (all map[string]json.RawMessage, exists bool) {
	t.Helper()
	res, err := svc.Get(t.Context(), api.Target{Kind: k, Key: key}, api.GetOptions{At: at})
	if exists = at > 0 && !apierrors.IsNotFound(err); !exists {
		res.Object, err = k.New("")
	}
	if err != nil {
		t.Fatal(err)
	}
	status := reflect.ValueOf(res.Object).Elem().FieldByName("Status").Interface()
	fields := decoded[map[string]json.RawMessage](t, encoded(t, status))
	all = map[string]json.RawMessage{}
	for name, value := range fields {
		all["status."+name] = value
	}
	if list, ok := fields["conditions"]; ok {
		for _, c := range decoded[[]json.RawMessage](t, list) {
			all[decoded[struct{ Type string }](t, c).Type] = c
		}
	}
	return all, exists
}

func encoded(t *testing.T, v any) []byte {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func decoded[T any](t *testing.T, data []byte) (v T) {
	t.Helper()
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	return v
}
