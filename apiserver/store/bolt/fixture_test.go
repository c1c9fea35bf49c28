package bolt_test

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.etcd.io/bbolt"
	"google.golang.org/protobuf/proto"
	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/apimachinery/pkg/types"

	"optimist/apiserver/registry"
	"optimist/apiserver/registry/kinds"
	"optimist/apiserver/store"
	"optimist/apiserver/store/bolt"
	"optimist/internal/api"
	"optimist/internal/api/apitest"
	wire "optimist/proto"
)

var update = flag.Bool("update", false, "make the fixture of the current format, if there is none")

// newestFixture is the file that this version writes; testdata/README.md says what to do when the format changes.
const newestFixture = "format-2"

// Every version opens what every earlier one has written, and reads the same in it.
func TestFixtures(t *testing.T) {
	path := filepath.Join("testdata", newestFixture+".db")
	if _, err := os.Stat(path); *update && errors.Is(err, os.ErrNotExist) {
		makeFixture(t, path)
		put(t, strings.TrimSuffix(path, ".db")+".txt", []byte(describe(t, path)))
	}
	files, err := filepath.Glob("testdata/*.db")
	if err != nil || len(files) == 0 {
		t.Fatalf("there are no fixtures: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			want, err := os.ReadFile(strings.TrimSuffix(file, ".db") + ".txt")
			if err != nil {
				t.Fatal(err)
			}
			got := describe(t, file)
			for n, line := range strings.Split(got, "\n") {
				if wanted := strings.Split(string(want), "\n"); n >= len(wanted) || wanted[n] != line {
					t.Fatalf("line %d reads\n%s\nand should\n%s", n+1, line, wanted[min(n, len(wanted)-1)])
				}
			}
			if len(got) != len(want) {
				t.Errorf("%d bytes are read, %d should be", len(got), len(want))
			}
		})
	}
}

func put(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// over is a registry over a store.
func over(t *testing.T, s store.Store) *registry.Registry {
	t.Helper()
	r, err := registry.New(s, registry.Options{Rules: kinds.All(), Ranges: registry.Ranges{
		ClusterCIDR: netip.MustParsePrefix("10.244.0.0/16"), NodeBits: 24, ServiceCIDR: netip.MustParsePrefix("10.96.0.0/16")}})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// describe reads all that a copy of the file holds: objects, other keys, and the history that is left; and then writes to it.
func describe(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "store.db")
	put(t, path, data)
	db, err := bolt.Open(path, bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var b strings.Builder
	now, _ := db.Now(t.Context())
	fmt.Fprintf(&b, "incarnation %s, revision %d\n\n", db.Incarnation(), now)
	r := over(t, db)
	for _, k := range api.Builtin.Kept() {
		describeKind(t, &b, r, k)
	}
	describeKeys(t, &b, db)
	describeHistory(t, &b, db, now)
	if err := r.Bootstrap(t.Context()); err != nil {
		t.Errorf("it cannot be written to: %v", err)
	}
	if _, err := r.Write(t.Context(), api.ConfigMaps.Request(api.VerbDelete, api.Key{Namespace: "default", Name: "settings"}, "", nil)); err != nil {
		t.Errorf("it cannot be written to: %v", err)
	}
	return b.String()
}

func describeKind(t *testing.T, b *strings.Builder, r *registry.Registry, k *api.Kind) {
	t.Helper()
	list, err := r.List(t.Context(), api.Target{Kind: k}, api.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range list.Items {
		text, err := json.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(b, "%s %s\n", k.Name, text)
	}
}

// describeKeys tells when each key was written, and what those hold that are no objects: claims and epochs.
func describeKeys(t *testing.T, b *strings.Builder, s store.Store) {
	t.Helper()
	entries, _, err := s.List(t.Context(), store.Range{}, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		fmt.Fprintf(b, "%s created %d, written %d", e.Key, e.Create, e.Mod)
		if strings.HasPrefix(e.Key, "/claims/") || strings.HasPrefix(e.Key, "/~") {
			fmt.Fprintf(b, ": %q", e.Value)
		}
		b.WriteString("\n")
	}
}

// describeHistory tells revision by revision who did what, from the compacted one on.
func describeHistory(t *testing.T, b *strings.Builder, s store.Store, now store.Revision) {
	t.Helper()
	floor := store.Revision(0)
	batches, err := s.Watch(t.Context(), "", floor)
	for ; errors.Is(err, store.ErrCompacted); batches, err = s.Watch(t.Context(), "", floor) {
		floor++
	}
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(b, "\ncompacted to %d\n", floor)
	for batch, err := range batches {
		if err != nil {
			t.Fatal(err)
		}
		var n wire.Note
		if err := proto.Unmarshal(batch.Note, &n); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(b, "%d: %s %s %s/%s", batch.Revision, n.GetUser(), n.GetVerb(), n.GetTarget().GetKind(), n.GetTarget().GetName())
		for _, c := range n.GetCauses().GetEdges() {
			fmt.Fprintf(b, ", because of %s %d", c.GetType(), c.GetRevision())
		}
		b.WriteString("\n")
		for _, c := range batch.Changes {
			fmt.Fprintf(b, "   %s: %x over %x of %d\n", c.Key, sha256.Sum256(c.Value), sha256.Sum256(c.Prev), c.PrevMod)
		}
		if batch.Revision == now {
			return
		}
	}
}

// samples has something of every kind of the catalogue.
const samples = `
apiVersion: v1
kind: Namespace
metadata: {name: harbour, labels: {town: kiel}}
---
apiVersion: v1
kind: Node
metadata: {name: n1}
---
apiVersion: scheduling.k8s.io/v1
kind: PriorityClass
metadata: {name: regatta}
value: 1000
---
apiVersion: v1
kind: ConfigMap
metadata: {namespace: default, name: settings}
data: {course: "045"}
binaryData: {chart: AAEC}
---
apiVersion: v1
kind: Secret
metadata: {namespace: default, name: keys}
stringData: {locker: "1234"}
---
apiVersion: v1
kind: Pod
metadata: {namespace: default, name: web, labels: {app: web}, finalizers: [example.com/held]}
spec:
  priorityClassName: regatta
  containers: [{name: web, image: web, ports: [{containerPort: 80}], resources: {requests: {cpu: 100m, memory: 64Mi}}}]
---
apiVersion: v1
kind: Service
metadata: {namespace: default, name: web}
spec: {type: NodePort, selector: {app: web}, ports: [{port: 80, nodePort: 30080}]}
---
apiVersion: v1
kind: Event
metadata: {namespace: default, name: web.1}
involvedObject: {kind: Pod, namespace: default, name: web}
reason: Launched
message: the boat is in the water
type: Normal
---
apiVersion: apps/v1
kind: Deployment
metadata: {namespace: default, name: web}
spec: {replicas: 2, selector: {matchLabels: {app: web}}, template: {metadata: {labels: {app: web}}, spec: {containers: [{name: web, image: web}]}}}
---
apiVersion: apps/v1
kind: ReplicaSet
metadata: {namespace: default, name: web-1}
spec: {replicas: 1, selector: {matchLabels: {app: web}}, template: {metadata: {labels: {app: web}}, spec: {containers: [{name: web, image: web}]}}}
---
apiVersion: coordination.k8s.io/v1
kind: Lease
metadata: {namespace: kube-system, name: scheduler}
spec: {holderIdentity: first, leaseDurationSeconds: 15}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {namespace: default, name: web-1}
addressType: IPv4
endpoints: [{addresses: [10.244.0.2]}]
ports: [{port: 80}]
---
apiVersion: v1
kind: Endpoints
metadata: {namespace: default, name: web}
subsets: [{addresses: [{ip: 10.244.0.2}], ports: [{port: 80}]}]
---
apiVersion: certificates.k8s.io/v1
kind: CertificateSigningRequest
metadata: {name: n1}
spec:
  signerName: kubernetes.io/kube-apiserver-client-kubelet
  usages: [digital signature, client auth]
  request: LS0tLS1CRUdJTiBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0KTUlIc01JR1NBZ0VBTURBeEZUQVRCZ05WQkFvTURITjVjM1JsYlRwdWIyUmxjekVYTUJVR0ExVUVBd3dPYzNsegpkR1Z0T201dlpHVTZiakV3V1RBVEJnY3Foa2pPUFFJQkJnZ3Foa2pPUFFNQkJ3TkNBQVNkUWdqSjN5OSttSUxTCmtMQXhUY3AwbEcvdTFaMloraWdTTFdqbGNVbmMwczZkcWlneXhNK1dPS3YzMkx0NFRIKzZEcGJFK2xzeU5TbjEKQlQ1b0pkekJvQUF3Q2dZSUtvWkl6ajBFQXdJRFNRQXdSZ0loQU9Xejh1K2xqWVdJazNNUTdETDh3Zzd2bk0wNgo3Sm9qS004YWtXaU5DMDNEQWlFQXlvMi96aFF0YWZLMUdQWU56SS9BK0o4QkpId3oySW5tYS9tSlNITmc3L0E9Ci0tLS0tRU5EIENFUlRJRklDQVRFIFJFUVVFU1QtLS0tLQo=
`

// makeFixture writes a store: every kind, an object with a history, a deletion, a lease that changes hands, a write with causes, and a
// compaction in the midst.
func makeFixture(t *testing.T, path string) {
	t.Helper()
	db, err := bolt.Open(path, bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	r := over(t, db)
	ctx := api.WithUser(t.Context(), api.User{Name: "sailor", Groups: []string{api.GroupMasters}})
	must(t, r.Bootstrap(ctx))
	write := func(v api.Verb, o api.Object) {
		t.Helper()
		_, err := r.Write(ctx, api.Request{Target: api.Target{Kind: api.Builtin.Of(o), Key: api.KeyOf(o)}, Verb: v, Body: o})
		must(t, err)
	}
	made := map[string]bool{}
	stored, err := os.ReadFile("../../registry/kinds/testdata/stored.yaml")
	must(t, err)
	for text := range strings.SplitSeq(samples+"\n---\n"+string(stored), "\n---\n") {
		o := apitest.Object(t, text)
		made[api.Builtin.Of(o).Name] = true
		write(api.VerbCreate, o)
	}
	for _, k := range api.Builtin.Kept() {
		if !made[k.Name] {
			t.Errorf("the samples have no %s", k)
		}
	}
	settings := api.Key{Namespace: "default", Name: "settings"}
	change := func(course int) api.Revision {
		c, err := api.ConfigMaps.Patch(ctx, r, settings, "", types.MergePatchType, fmt.Appendf(nil, `{"data":{"course":"%03d"}}`, course))
		must(t, err)
		return api.RevisionOf(c)
	}
	change(90)
	write(api.VerbCreate, apitest.Object(t, "{apiVersion: v1, kind: ConfigMap, metadata: {namespace: default, name: early}}"))
	must(t, api.ConfigMaps.Delete(ctx, r, api.Key{Namespace: "default", Name: "early"}, api.Options{}))
	must(t, db.Compact(ctx, store.Revision(change(135))))
	lease := apitest.As[*coordinationv1.Lease](t, "{apiVersion: coordination.k8s.io/v1, kind: Lease, metadata: {namespace: kube-system, name: scheduler}, spec: {holderIdentity: second, leaseDurationSeconds: 15}}")
	write(api.VerbUpdate, lease)
	write(api.VerbCreate, apitest.Object(t, "{apiVersion: v1, kind: ConfigMap, metadata: {namespace: default, name: late}}"))
	must(t, api.ConfigMaps.Delete(ctx, r, api.Key{Namespace: "default", Name: "late"}, api.Options{}))
	must(t, api.Pods.Delete(ctx, r, api.Key{Namespace: "default", Name: "web"}, api.Options{})) // is held by its finalizer
	trigger := change(180)
	ctx = api.WithCauses(ctx, api.Causes{Edges: []api.Cause{{Type: api.CauseTrigger, Revision: trigger}}})
	change(225)
	must(t, db.Close())
	shorten(t, path)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// shorten cuts off the space that bbolt has taken in advance.
func shorten(t *testing.T, path string) {
	t.Helper()
	b, err := bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true})
	must(t, err)
	var size int64
	must(t, b.View(func(tx *bbolt.Tx) error { size = tx.Size(); return nil }))
	must(t, errors.Join(b.Close(), os.Truncate(path, size)))
}
