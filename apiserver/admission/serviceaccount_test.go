package admission

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"optimist/apiserver/registry"
	"optimist/apiserver/registry/kinds"
	"optimist/apiserver/store/memory"
	"optimist/internal/api"
	"optimist/internal/api/apitest"
)

const (
	accounts = `{apiVersion: v1, kind: ServiceAccount, metadata: {namespace: default, name: default}, imagePullSecrets: [{name: hub}]}
---
{apiVersion: v1, kind: ServiceAccount, metadata: {namespace: default, name: quiet}, automountServiceAccountToken: false}`
	place = "{mountPath: /var/run/secrets/kubernetes.io/serviceaccount, name: own}"
)

// server is a registry with nothing but the mutator.
func server(t *testing.T, mounts bool) api.Service {
	t.Helper()
	s := &ServiceAccount{Mounts: mounts}
	r, err := registry.New(memory.New(), registry.Options{Rules: kinds.All(), Mutators: []registry.Mutator{s}})
	if err != nil {
		t.Fatal(err)
	}
	s.Service = r
	if err := r.Bootstrap(t.Context()); err != nil {
		t.Fatal(err)
	}
	return r
}

func make1(t *testing.T, svc api.Service, text string) error {
	o := apitest.Object(t, text)
	_, err := svc.Write(t.Context(), api.Request{Target: api.Target{Kind: api.Builtin.Of(o), Key: api.KeyOf(o)}, Verb: api.VerbCreate, Body: o})
	return err
}

func TestAPodGetsItsServiceAccount(t *testing.T) {
	for i, c := range []struct{ name, spec, container, want string }{
		{"a plain pod: the default account, its pull secret, the volume in every container", "", "", "default hub 1 i:1 c:1"},
		{"the pod wants no token", "automountServiceAccountToken: false,", "", "default hub 0 i:0 c:0"},
		{"the account's containers want no token", "serviceAccountName: quiet,", "", "quiet  0 i:0 c:0"},
		{"the pod's word goes before its account's", "serviceAccountName: quiet, automountServiceAccountToken: true,", "", "quiet  1 i:1 c:1"},
		{"the old name of the field", "serviceAccount: quiet,", "", "quiet  0 i:0 c:0"},
		{"a pod's own pull secrets are all that it gets", "imagePullSecrets: [{name: own}],", "", "default own 1 i:1 c:1"},
		{"a container with something at that place is left alone", "volumes: [{name: own, emptyDir: {}}],", "volumeMounts: [" + place + "],", "default hub 2 i:1 c:1"},
		{"an account that is not there", "serviceAccountName: nobody,", "",
			`pods "p7" is forbidden: error looking up service account default/nobody: serviceaccount "nobody" not found`},
	} {
		svc := server(t, true)
		for text := range strings.SplitSeq(accounts, "\n---\n") {
			if err := make1(t, svc, text); err != nil {
				t.Fatal(err)
			}
		}
		name := fmt.Sprintf("p%d", i)
		err := make1(t, svc, fmt.Sprintf("{apiVersion: v1, kind: Pod, metadata: {namespace: default, name: %s}, spec: {%s initContainers: [{name: i, image: i}], containers: [{name: c, %s image: i}]}}",
			name, c.spec, c.container))
		got := ""
		if err != nil {
			got = err.Error()
		} else if pod, err := api.Pods.Get(t.Context(), svc, api.Key{Namespace: "default", Name: name}); err != nil {
			t.Fatal(err)
		} else {
			got = describe(pod)
		}
		if got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

func describe(p *corev1.Pod) string {
	secrets := ""
	for _, s := range p.Spec.ImagePullSecrets {
		secrets += s.Name
	}
	return fmt.Sprintf("%s %s %d i:%d c:%d", p.Spec.ServiceAccountName, secrets, len(p.Spec.Volumes),
		len(p.Spec.InitContainers[0].VolumeMounts), len(p.Spec.Containers[0].VolumeMounts))
}

// What is mounted is what upstream mounts, to the letter; without a door for pods there is nothing to mount.
func TestTheVolume(t *testing.T) {
	for _, mounts := range []bool{true, false} {
		p := apitest.Object(t, "{apiVersion: v1, kind: Pod, metadata: {namespace: default, name: p}, spec: {containers: [{name: c, image: i}]}}").(*corev1.Pod)
		svc := server(t, mounts)
		if err := make1(t, svc, "{apiVersion: v1, kind: ServiceAccount, metadata: {namespace: default, name: default}}"); err != nil {
			t.Fatal(err)
		}
		p, err := api.Pods.Create(t.Context(), svc, p)
		if err != nil || len(p.Spec.Volumes) > 0 != mounts {
			t.Fatal(p.Spec.Volumes, err)
		}
		if !mounts {
			continue
		}
		v, mount := p.Spec.Volumes[0], p.Spec.Containers[0].VolumeMounts[0]
		sources := v.Projected.Sources
		if !strings.HasPrefix(v.Name, "kube-api-access-") || len(v.Name) != 21 || mount.Name != v.Name || !mount.ReadOnly || mount.MountPath != mountPath ||
			*v.Projected.DefaultMode != 0o644 || *sources[0].ServiceAccountToken.ExpirationSeconds != 3607 || sources[1].ConfigMap.Name != "kube-root-ca.crt" ||
			sources[2].DownwardAPI.Items[0].FieldRef.FieldPath != "metadata.namespace" {
			t.Errorf("%+v in %+v", mount, v)
		}
	}
}

// A pod that is created with its namespace waits for the account that a controller makes; for ever it does not.
func TestTheDefaultAccountIsWaitedFor(t *testing.T) {
	for _, comes := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			svc := server(t, true)
			go func() {
				time.Sleep(time.Second)
				if comes {
					_, _ = api.ServiceAccounts.Create(t.Context(), svc, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "default"}})
				}
			}()
			began := time.Now()
			err := make1(t, svc, "{apiVersion: v1, kind: Pod, metadata: {namespace: default, name: p}, spec: {containers: [{name: c, image: i}]}}")
			if took := time.Since(began); comes != (err == nil) || !comes && !apierrors.IsForbidden(err) || took > 2*time.Second {
				t.Error(took, err)
			}
			synctest.Wait()
		})
	}
}
