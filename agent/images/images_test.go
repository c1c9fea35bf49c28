package images

import (
	"context"
	"encoding/base64"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"

	"optimist/agent/runtime"
	"optimist/agent/runtime/sim"
)

func TestDelayDoublesUpToFiveMinutes(t *testing.T) {
	for failures, want := range map[int]time.Duration{1: 10 * time.Second, 2: 20 * time.Second, 5: 160 * time.Second, 6: 5 * time.Minute, 99: 5 * time.Minute} {
		if got := Delay(failures); got != want {
			t.Errorf("Delay(%d) = %v, want %v", failures, got, want)
		}
	}
}

func TestKeyringPicksTheMostParticularLogin(t *testing.T) {
	secret := func(where, login string) *corev1.Secret {
		auth := base64.StdEncoding.EncodeToString([]byte(login))
		return &corev1.Secret{Type: corev1.SecretTypeDockerConfigJson, Data: map[string][]byte{
			corev1.DockerConfigJsonKey: fmt.Appendf(nil, `{"auths":{%q:{"auth":%q}}}`, where, auth)}}
	}
	for _, row := range []struct {
		name, image, want string
		secrets           []*corev1.Secret
	}{
		{"a host fits all its images", "registry.test:5000/team/app:1", "[{u p}]", []*corev1.Secret{secret("https://registry.test:5000/v1/", "u:p")}},
		{"another host does not fit", "other.test/app", "[]", []*corev1.Secret{secret("registry.test", "u:p")}},
		{"a path goes before its host", "registry.test/team/app", "[{path p} {host p}]",
			[]*corev1.Secret{secret("registry.test", "host:p"), secret("registry.test/team", "path:p")}},
		{"a short name belongs to the default registry", "nginx", "[{u p:q}]", []*corev1.Secret{secret("https://docker.io/v1/", "u:p:q")}},
	} {
		var keys Keyring
		for _, s := range row.secrets {
			var err error
			if keys, err = keys.Add(s); err != nil {
				t.Fatal(err)
			}
		}
		if got := fmt.Sprint(keys.For(row.image)); got != row.want {
			t.Errorf("%s: got %s, want %s", row.name, got, row.want)
		}
	}
}

func TestNamesOfImages(t *testing.T) {
	for ref, good := range map[string]bool{"nginx": true, "nowhere.test/x:1": true, "a/b@sha256:" + strings.Repeat("0", 64): true,
		"UPPER/Case": false, "a b": false, "": false, "x:": false} {
		if err := Check(ref); (err == nil) != good {
			t.Errorf("%q: %v", ref, err)
		}
	}
}

// counting counts the pulls that reach the registry.
type counting struct {
	*sim.Runtime
	mu    sync.Mutex
	pulls int
}

func (c *counting) Pull(ctx context.Context, ref string, login runtime.Credentials) (runtime.Image, error) {
	c.mu.Lock()
	c.pulls++
	c.mu.Unlock()
	return c.Runtime.Pull(ctx, ref, login)
}

func TestPodsThatWantTheSameImageShareOnePull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &counting{Runtime: sim.New()}
		p := NewPuller(r)
		var group sync.WaitGroup
		for range 5 {
			group.Go(func() {
				if _, err := p.Pull(t.Context(), "slow", false, nil); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
		if r.pulls != 1 {
			t.Errorf("%d pulls, want 1", r.pulls)
		}
	})
}
