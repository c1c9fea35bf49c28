package ctl_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"optimist/ctl"
	"optimist/internal/api"
)

// output collects what a command prints while it still runs.
type output struct {
	mu   sync.Mutex
	text strings.Builder
}

func (o *output) Write(data []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(data)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// running is a command that runs beside the test, in a bubble.
type running struct {
	out, err output
	code     chan int
	stop     func()
}

func start(t *testing.T, svc api.Service, args ...string) *running {
	t.Setenv("HOME", t.TempDir())
	ctx, stop := context.WithCancel(t.Context())
	r := &running{code: make(chan int, 1), stop: stop}
	root := ctl.Over(svc)
	root.SetOut(&r.out)
	root.SetErr(&r.err)
	go func() { r.code <- ctl.Run(ctx, root, args) }()
	synctest.Wait()
	return r
}

func settings(name, value string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}, Data: map[string]string{"a": value}}
}

func bubble(t *testing.T, test func(t *testing.T, svc api.Service)) {
	synctest.Test(t, func(t *testing.T) {
		c, err := newCluster()
		defer func() { c.stop() }()
		if err != nil {
			t.Fatal(err)
		}
		test(t, c.Service)
	})
}

func TestWatchPrintsARowAChangeUntilInterrupted(t *testing.T) {
	bubble(t, func(t *testing.T, svc api.Service) {
		create := func(o *corev1.ConfigMap) {
			if _, err := api.ConfigMaps.Create(t.Context(), svc, o); err != nil {
				t.Fatal(err)
			}
		}
		create(settings("one", "x"))
		r := start(t, svc, "get", "cm", "-w")
		time.Sleep(10 * time.Second)
		create(settings("two", "x"))
		if err := api.ConfigMaps.Delete(t.Context(), svc, api.Key{Namespace: "default", Name: "one"}, api.Options{}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		r.stop()
		if code := <-r.code; code != 130 {
			t.Errorf("exit code %d, want 130", code)
		}
		want := "NAME   DATA   AGE\none    1      0s\ntwo    1      0s\none    1      10s\n"
		if got := r.out.String(); got != want || r.err.String() != "" {
			t.Errorf("got\n%s%s\nwant\n%s", got, r.err.String(), want)
		}
	})
}

func TestDeleteWaitsForTheFinalizer(t *testing.T) {
	bubble(t, func(t *testing.T, svc api.Service) {
		held := settings("held", "x")
		held.Finalizers = []string{"example.com/hold"}
		if _, err := api.ConfigMaps.Create(t.Context(), svc, held); err != nil {
			t.Fatal(err)
		}
		r := start(t, svc, "delete", "cm", "held")
		time.Sleep(time.Hour)
		select {
		case code := <-r.code:
			t.Fatalf("delete ended with %d before the finalizer was gone: %s", code, r.err.String())
		default:
		}
		now, err := api.ConfigMaps.Get(t.Context(), svc, api.Key{Namespace: "default", Name: "held"})
		if err != nil {
			t.Fatal(err)
		}
		now = now.DeepCopy()
		now.Finalizers = nil
		if _, err := api.ConfigMaps.Update(t.Context(), svc, now); err != nil {
			t.Fatal(err)
		}
		if code := <-r.code; code != 0 {
			t.Errorf("exit code %d: %s", code, r.err.String())
		}
	})
}

func TestUnreachableServerIsOneLine(t *testing.T) {
	root := ctl.Over(nobody{})
	var err output
	root.SetErr(&err)
	if code := ctl.Run(t.Context(), root, []string{"get", "pods,svc"}); code != 1 {
		t.Errorf("exit code %d", code)
	}
	if want := "error: cannot reach the API server: is the cluster running? (ctl start)\n"; err.String() != want {
		t.Errorf("got %q, want %q", err.String(), want)
	}
}

func TestWatchSaysWhatHappened(t *testing.T) {
	for format, want := range map[string]string{
		"": "EVENT      NAME   DATA   AGE\nADDED      one    1      0s\nMODIFIED   one    1      0s\nDELETED    one    1      0s\n",
		"jsonpath={.type} {.object.data.a}{'\\n'}": "ADDED x\nMODIFIED y\nDELETED y\n",
	} {
		bubble(t, func(t *testing.T, svc api.Service) {
			now, err := api.ConfigMaps.Create(t.Context(), svc, settings("one", "x"))
			if err != nil {
				t.Fatal(err)
			}
			r := start(t, svc, "get", "cm", "one", "-w", "--output-watch-events", "-o", format)
			now = now.DeepCopy()
			now.Data["a"] = "y"
			if _, err := api.ConfigMaps.Update(t.Context(), svc, now); err != nil {
				t.Fatal(err)
			}
			if err := api.ConfigMaps.Delete(t.Context(), svc, api.KeyOf(now), api.Options{}); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			r.stop()
			<-r.code
			if got := r.out.String(); got != want {
				t.Errorf("%q: got\n%s%s\nwant\n%s", format, got, r.err.String(), want)
			}
		})
	}
}

func TestWaitSeesWhatComes(t *testing.T) {
	bubble(t, func(t *testing.T, svc api.Service) {
		late := start(t, svc, "wait", "cm/one", "--for=create", "--for=jsonpath={.data.a}=y")
		slow := start(t, svc, "wait", "cm/one", "--for=create", "--for=condition=Ready", "--timeout=1m")
		some := start(t, svc, "wait", "cm", "--field-selector=metadata.name=one", "--for=create")
		time.Sleep(10 * time.Second)
		now, err := api.ConfigMaps.Create(t.Context(), svc, settings("one", "x"))
		if err != nil {
			t.Fatal(err)
		}
		if code := <-some.code; code != 0 || some.out.String() != "configmap/one condition met\n" {
			t.Errorf("some: %d, %s%s", code, some.out.String(), some.err.String())
		}
		gone := start(t, svc, "wait", "cm/one", "--for=delete")
		time.Sleep(10 * time.Second)
		now = now.DeepCopy()
		now.Data["a"] = "y"
		if _, err := api.ConfigMaps.Update(t.Context(), svc, now); err != nil {
			t.Fatal(err)
		}
		if code := <-late.code; code != 0 || late.out.String() != "configmap/one condition met\nconfigmap/one condition met\n" {
			t.Errorf("late: %d, %s%s", code, late.out.String(), late.err.String())
		}
		begun := time.Now()
		if code := <-slow.code; code != 1 || slow.err.String() != "error: timed out waiting for the condition on configmaps/one\n" || time.Since(begun) != 40*time.Second {
			t.Errorf("slow: %d after %v, %s%s", code, time.Since(begun), slow.out.String(), slow.err.String())
		}
		if code := <-gone.code; code != 1 || gone.err.String() != "error: timed out waiting for the condition on configmaps/one\n" {
			t.Errorf("gone: %d, %s%s", code, gone.out.String(), gone.err.String())
		}
	})
}
