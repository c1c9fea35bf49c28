package volume

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"optimist/internal/api"
)

// server holds ConfigMaps and Secrets, gives tokens of an hour, and tells of changes.
type server struct {
	api.Service
	mu      sync.Mutex
	objects map[string]api.Object // "configmap settings"
	tokens  int
	refuses bool
	watches []chan api.Event

	revision api.Revision
}

func (s *server) Get(_ context.Context, t api.Target, _ api.GetOptions) (api.Result, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.objects[t.Kind.Singular+" "+t.Key.Name]
	if o == nil {
		return api.Result{}, t.Kind.NotFound(t.Key.Name)
	}
	return api.Result{Object: o}, nil
}

func (s *server) Write(_ context.Context, r api.Request) (api.Result, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	spec := r.Body.(*authenticationv1.TokenRequest).Spec
	if s.refuses || r.Sub != "token" || spec.BoundObjectRef.UID != "u" {
		return api.Result{}, errors.New("no token today")
	}
	s.tokens++
	return api.Result{Object: &authenticationv1.TokenRequest{Status: authenticationv1.TokenRequestStatus{
		Token: fmt.Sprintf("%s%d%v", r.Key.Name, s.tokens, spec.Audiences), ExpirationTimestamp: metav1.NewTime(time.Now().Add(time.Duration(*spec.ExpirationSeconds) * time.Second))}}}, nil
}

func (s *server) Watch(ctx context.Context, _ api.Target, o api.WatchOptions) (iter.Seq2[[]api.Event, error], error) {
	c := make(chan api.Event, 9)
	c <- api.Event{Type: api.Bookmark, Revision: 1, InitialEnd: true}
	s.mu.Lock()
	s.watches = append(s.watches, c)
	s.mu.Unlock()
	return func(yield func([]api.Event, error) bool) {
		for {
			select {
			case e := <-c:
				if !yield([]api.Event{e}, nil) {
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}, nil
}

// put makes or changes an object and tells everybody.
func (s *server) put(name string, o api.Object) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.objects[name] = o
	s.revision++
	o.SetResourceVersion(s.revision.String())
	for _, c := range s.watches {
		c <- api.Event{Type: api.Modified, Object: o, Revision: s.revision}
	}
}

func settings(data map[string]string) *corev1.ConfigMap {
	return &corev1.ConfigMap{Data: data, BinaryData: map[string][]byte{"raw": {0xff}}}
}

func newServer() *server {
	return &server{objects: map[string]api.Object{"configmap settings": settings(map[string]string{"a": "1", "b": "2"}),
		"secret login": &corev1.Secret{Data: map[string][]byte{"password": []byte("x")}}}}
}

func podOf(t *testing.T, spec string) *corev1.Pod {
	t.Helper()
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "p", UID: "u", Labels: map[string]string{"app": "web", "a": `q"`}}}
	if err := yaml.UnmarshalStrict([]byte(spec), &p.Spec); err != nil {
		t.Fatal(err)
	}
	return p
}

func downward(p *corev1.Pod) Downward {
	return func(f corev1.DownwardAPIVolumeFile) (string, error) {
		if f.FieldRef.FieldPath == "metadata.labels" {
			return Lines(p.Labels), nil
		}
		return p.Namespace, nil
	}
}

func volumes(t *testing.T, s *server) *Volumes {
	v := &Volumes{Service: s, Root: t.TempDir(), Changed: func(types.UID) {}, Log: slog.New(slog.DiscardHandler)}
	t.Cleanup(func() {
		if err := v.Keep(func(types.UID) bool { return false }); err != nil {
			t.Error(err)
		}
		if left, _ := os.ReadDir(filepath.Join(v.Root, "pods")); len(left) > 0 {
			t.Error("something is left behind: ", left)
		}
	})
	return v
}

// listing is what a container would see in a volume: name=content(mode) of each file.
func listing(t *testing.T, dir string) string {
	t.Helper()
	var all []string
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "..") {
			continue
		}
		top, err := filepath.EvalSymlinks(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		_ = filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			rel, _ := filepath.Rel(top, path)
			data, _ := os.ReadFile(path)
			info, _ := d.Info()
			all = append(all, fmt.Sprintf("%s=%s(%o)", filepath.Join(e.Name(), rel), data, info.Mode().Perm()))
			return nil
		})
	}
	return strings.Join(all, " ")
}

func TestWhatIsInAVolume(t *testing.T) {
	for _, c := range []struct{ name, volume, want string }{
		{"a whole ConfigMap", "configMap: {name: settings}", "a=1(644) b=2(644) raw=\xff(644)"},
		{"chosen keys, at their places and with their modes", "configMap: {name: settings, defaultMode: 0400, items: [{key: a, path: deep/er/x}, {key: b, path: other, mode: 0700}]}", "deep/er/x=1(400) other=2(700)"},
		{"a Secret", "secret: {secretName: login, defaultMode: 0440}", "password=x(440)"},
		{"an optional one that misses is empty", "secret: {secretName: none, optional: true}", ""},
		{"an optional key that misses is left out", "configMap: {name: settings, optional: true, items: [{key: a, path: a}, {key: z, path: z}]}", "a=1(644)"},
		{"the pod itself", "downwardAPI: {items: [{path: labels, fieldRef: {fieldPath: metadata.labels}}, {path: ns, fieldRef: {fieldPath: metadata.namespace}}]}", "labels=a=\"q\\\"\"\napp=\"web\"(644) ns=shop(644)"},
		{"what every pod has", "projected: {sources: [{serviceAccountToken: {path: token, expirationSeconds: 3607}}, {configMap: {name: settings, items: [{key: a, path: ca.crt}]}}, {downwardAPI: {items: [{path: namespace, fieldRef: {fieldPath: metadata.namespace}}]}}]}",
			"ca.crt=1(644) namespace=shop(644) token=robot1[](644)"},
		{"a token for somebody else", "projected: {sources: [{serviceAccountToken: {path: t, audience: vault}}]}", "t=robot1[vault](644)"},
		{"a ConfigMap that misses", "configMap: {name: none}", `MountVolume.SetUp failed for volume "v" : configmap "none" not found`},
		{"a Secret that misses", "projected: {sources: [{secret: {name: none}}]}", `MountVolume.SetUp failed for volume "v" : secret "none" not found`},
		{"a key that misses", "configMap: {name: settings, items: [{key: z, path: z}]}", `MountVolume.SetUp failed for volume "v" : references non-existent config key: z`},
		{"a key of a Secret that misses", "secret: {secretName: login, items: [{key: z, path: z}]}", `MountVolume.SetUp failed for volume "v" : references non-existent secret key: z`},
		{"a path that leads out", "configMap: {name: settings, items: [{key: a, path: ../../x}]}", "path escapes from parent"},
		{"an emptyDir", "emptyDir: {}", ""},
		{"one in memory", "emptyDir: {medium: Memory, sizeLimit: 1Mi}", ""},
		{"one in huge pages", "emptyDir: {medium: HugePages}", `MountVolume.SetUp failed for volume "v" : this version has no volumes of that kind`},
		{"what this version does not have", "nfs: {server: s, path: /}", `MountVolume.SetUp failed for volume "v" : this version has no volumes of that kind`},
		{"nor this", "projected: {sources: [{clusterTrustBundle: {path: x}}]}", `MountVolume.SetUp failed for volume "v" : this version has no ClusterTrustBundles`},
	} {
		t.Run(c.name, func(t *testing.T) {
			v, p := volumes(t, newServer()), podOf(t, "{serviceAccountName: robot, volumes: [{name: v, "+c.volume+"}]}")
			for range 2 { // again: nothing changes
				got := ""
				if faults := v.Mount(t.Context(), p, downward(p)); len(faults) > 0 {
					if got = faults[0].Error(); c.want != "" && strings.Contains(got, c.want) {
						got = c.want
					}
				} else {
					got = listing(t, v.path("u", &p.Spec.Volumes[0]))
				}
				if got != c.want {
					t.Errorf("got  %q\nwant %q", got, c.want)
				}
			}
		})
	}
}

// A reader sees the old content or the new, never a mixture; what is the same is not written again; nothing old stays.
func TestContentIsSwapped(t *testing.T) {
	dir := t.TempDir()
	put := func(files map[string]string) string {
		t.Helper()
		all := map[string]file{}
		for name, text := range files {
			all[name] = file{data: []byte(text), mode: 0o644}
		}
		if err := write(dir, all, nil); err != nil {
			t.Fatal(err)
		}
		now, _ := os.Readlink(filepath.Join(dir, dataLink))
		return now
	}
	first := put(map[string]string{"a": "1", "old/x": "1", "old/y": "2"})
	if again := put(map[string]string{"a": "1", "old/x": "1", "old/y": "2"}); again != first {
		t.Error("the same content was written again")
	}
	held, err := os.Open(filepath.Join(dir, "a"))
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	if second := put(map[string]string{"a": "2", "b": "3"}); second == first {
		t.Error("new content lies where the old did")
	}
	if got := listing(t, dir); got != "a=2(644) b=3(644)" {
		t.Error(got)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 4 { // ..data, its folder, a, b
		t.Errorf("left behind: %v", entries)
	}
	text := make([]byte, 1)
	if _, err := held.Read(text); err != nil || text[0] != '1' {
		t.Errorf("who had opened the old file reads %q, %v", text, err)
	}
	if link, _ := os.Readlink(filepath.Join(dir, "a")); link != "..data/a" {
		t.Error(link)
	}
}

// With fsGroup everything belongs to the group; a token then is nobody else's.
func TestOwners(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root may give files away")
	}
	v := volumes(t, newServer())
	p := podOf(t, `{securityContext: {fsGroup: 4711}, containers: [{name: c}], volumes: [{name: t, projected: {sources: [{serviceAccountToken: {path: token}}, {configMap: {name: settings, items: [{key: a, path: d/a}]}}]}},
  {name: e, emptyDir: {}}, {name: m, emptyDir: {medium: Memory}}]}`)
	if faults := v.Mount(t.Context(), p, downward(p)); len(faults) > 0 {
		t.Fatal(faults)
	}
	if info, err := os.Stat(v.dir("u")); err != nil || info.Mode().Perm() != 0o700 {
		t.Error("others may look into the pod's folder:", info, err)
	}
	for path, want := range map[string]string{"t/token": "0:4711 -rw-r-----", "t/..data/d": "0:4711 dgrwxr-xr-x", "t/d/a": "0:4711 -rw-r--r--",
		"t": "0:4711 dgrwxrwxrwx", "e": "0:4711 dgrwxrwxrwx", "m": "0:4711 dgrwxrwxrwx"} {
		info, err := os.Stat(filepath.Join(v.dir("u"), "volumes", path))
		if err != nil {
			t.Fatal(err)
		}
		s := info.Sys().(*syscall.Stat_t)
		if got := fmt.Sprintf("%d:%d %v", s.Uid, s.Gid, info.Mode()); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
}

func TestWhatAContainerSees(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root may mount")
	}
	host, v := t.TempDir(), volumes(t, newServer())
	p := podOf(t, fmt.Sprintf(`{volumes: [{name: s, configMap: {name: settings}}, {name: e, emptyDir: {}}, {name: h, hostPath: {path: %s}}], containers: [{name: c, volumeMounts: [
  {name: s, mountPath: /s}, {name: s, mountPath: /s/a, subPath: a}, {name: e, mountPath: /e, subPathExpr: $(NAME)/logs}, {name: h, mountPath: /h, subPath: part, readOnly: true}]}]}`, host))
	if faults := v.Mount(t.Context(), p, downward(p)); len(faults) > 0 {
		t.Fatal(faults)
	}
	expand := func(s string) string { return strings.ReplaceAll(s, "$(NAME)", "p") }
	for range 2 { // a container that starts again gets them again
		all, err := v.Mounts(p, &p.Spec.Containers[0], expand)
		if err != nil || len(all) != 4 || !all[0].ReadOnly || all[2].ReadOnly || !all[3].ReadOnly {
			t.Fatal(all, err)
		}
		if text, err := os.ReadFile(all[1].Host); err != nil || string(text) != "1" {
			t.Errorf("subPath of one key: %q, %v", text, err)
		}
		if err := os.WriteFile(filepath.Join(all[2].Host, "x"), []byte("y"), 0o644); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(filepath.Join(v.path("u", &p.Spec.Volumes[1]), "p/logs/x")); err != nil {
			t.Error(err)
		}
		if err := os.WriteFile(filepath.Join(all[3].Host, "mine"), nil, 0o644); err != nil {
			t.Error(err)
		}
	}
	for link, to := range map[string]string{"out": "/etc", "up": "../../.."} { // put there by another container
		if err := os.Symlink(to, filepath.Join(v.path("u", &p.Spec.Volumes[1]), link)); err != nil {
			t.Fatal(err)
		}
		p.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "e", MountPath: "/e", SubPath: link}}
		if all, err := v.Mounts(p, &p.Spec.Containers[0], expand); err == nil || !strings.Contains(err.Error(), "escapes") {
			t.Errorf("a link led to %v, %v", all, err)
		}
	}
	if err := v.Unmount("u"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(host, "part", "mine")); err != nil {
		t.Error("the machine's own files went with the pod:", err)
	}
}

func TestHostPaths(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ path, kind, want string }{
		{"made", "", ""}, {"made2", "DirectoryOrCreate", ""}, {"made3", "FileOrCreate", ""}, {"file", "File", ""}, {"file", "", ""},
		{"file", "Directory", "is not a directory"}, {"file", "DirectoryOrCreate", "is not a directory"}, {"none", "Directory", "is not a directory"},
		{"none", "File", "is not a file"}, {"made", "FileOrCreate", "is not a file"}, {"file", "Socket", "is not a socket file"}, {"file", "CharDevice", "is not a character device"},
		{"../../../../../../../../dev/null", "CharDevice", ""}, {"../../../../../../../../dev/null", "BlockDevice", "is not a block device"},
	} {
		err := checkHostPath(&corev1.HostPathVolumeSource{Path: filepath.Join(dir, c.path), Type: (*corev1.HostPathType)(&c.kind)})
		if (err == nil) != (c.want == "") || err != nil && !strings.HasSuffix(err.Error(), c.want) {
			t.Errorf("%s as %q: %v", c.path, c.kind, err)
		}
	}
}

// A token is renewed at four fifths of its life, not before; while that fails, the old one stays as long as it is good.
func TestTokensAreRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		v := &Volumes{Service: s, Root: t.TempDir(), Log: slog.New(slog.DiscardHandler)}
		defer func() {
			if err := v.Unmount("u"); err != nil {
				t.Error(err)
			}
		}()
		p := podOf(t, "{volumes: [{name: v, projected: {sources: [{serviceAccountToken: {path: t, expirationSeconds: 3600}}]}}]}")
		began := time.Now()
		for _, step := range []struct {
			at      time.Duration
			refuses bool
			want    string
			due     time.Duration
		}{
			{0, false, "t=default1[](644)", 48 * time.Minute},
			{47 * time.Minute, false, "t=default1[](644)", 48 * time.Minute},
			{48 * time.Minute, false, "t=default2[](644)", 96 * time.Minute},
			{96 * time.Minute, true, "t=default2[](644)", 97 * time.Minute},
			{108 * time.Minute, true, `MountVolume.SetUp failed for volume "v" : failed to fetch token: no token today`, 108 * time.Minute},
			{109 * time.Minute, false, "t=default3[](644)", 157 * time.Minute},
		} {
			time.Sleep(time.Until(began.Add(step.at)))
			s.refuses = step.refuses
			got := ""
			if faults := v.Mount(t.Context(), p, nil); len(faults) > 0 {
				got = faults[0].Error()
			} else {
				got = listing(t, v.path("u", &p.Spec.Volumes[0]))
			}
			if state := v.Look("u", p); got != step.want || state.Due.Sub(began) != step.due || !state.Mounted {
				t.Errorf("after %v: %s, due after %v, want %s, %v", step.at, got, state.Due.Sub(began), step.want, step.due)
			}
		}
	})
}

// A pod hears of changes of what it has mounted, also of what was not there; nobody is watched for whom nobody asks.
func TestChangesAreHeardOf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		var told sync.Map
		var running atomic.Int32
		v := &Volumes{Service: s, Root: t.TempDir(), Log: slog.New(slog.DiscardHandler), Changed: func(uid types.UID) { told.Store(uid, true) },
			Spawn: func(f func(context.Context)) { running.Add(1); go func() { f(t.Context()); running.Add(-1) }() }}
		p := podOf(t, "{volumes: [{name: v, configMap: {name: late}}, {name: w, secret: {secretName: login}}, {name: x, configMap: {name: late}}]}")
		if faults := v.Mount(t.Context(), p, nil); len(faults) != 2 || v.Look("u", p).Mounted {
			t.Fatal(faults)
		}
		synctest.Wait()
		s.put("configmap late", settings(map[string]string{"a": "1"}))
		synctest.Wait()
		_, heard := told.Load(types.UID("u"))
		if state := v.Look("u", p); !heard || !state.Changed || running.Load() != 2 {
			t.Fatal(heard, state, running.Load())
		}
		if faults := v.Mount(t.Context(), p, nil); len(faults) > 0 {
			t.Fatal(faults)
		}
		if state := v.Look("u", p); !state.Mounted || state.Changed || !state.Due.IsZero() {
			t.Fatal(state)
		}
		relabeled := p.DeepCopy()
		relabeled.Labels["app"] = "api"
		if !v.Look("u", relabeled).Changed {
			t.Error("new labels count as a change: the downward API shows them")
		}
		if err := v.Unmount("u"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if running.Load() != 0 || v.Look("u", p).Exist {
			t.Error("still watched by", running.Load())
		}
	})
}

// Simulated nodes have no files, but know what misses.
func TestWithoutFiles(t *testing.T) {
	v := &Volumes{Service: newServer()}
	p := podOf(t, "{volumes: [{name: v, projected: {sources: [{serviceAccountToken: {path: t}}, {configMap: {name: settings}}]}}, {name: w, secret: {secretName: none}}, {name: e, emptyDir: {}}, {name: h, hostPath: {path: /none, type: File}}]}")
	if faults := v.Mount(t.Context(), p, nil); len(faults) != 1 || !strings.Contains(faults[0].Error(), `volume "w" : secret "none" not found`) {
		t.Fatal(faults)
	}
	if err := v.Unmount("u"); err != nil || v.Look("u", p).Exist {
		t.Fatal(err)
	}
}
