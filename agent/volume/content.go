package volume

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"optimist/internal/api"
)

// projection is a volume as a projected one; nil if it cannot be seen so.
func projection(v *corev1.Volume) *corev1.ProjectedVolumeSource {
	one := func(mode *int32, s corev1.VolumeProjection) *corev1.ProjectedVolumeSource {
		return &corev1.ProjectedVolumeSource{DefaultMode: mode, Sources: []corev1.VolumeProjection{s}}
	}
	switch {
	case v.Projected != nil:
		return v.Projected
	case v.ConfigMap != nil:
		s := v.ConfigMap
		return one(s.DefaultMode, corev1.VolumeProjection{ConfigMap: &corev1.ConfigMapProjection{LocalObjectReference: s.LocalObjectReference, Items: s.Items, Optional: s.Optional}})
	case v.Secret != nil:
		s := v.Secret
		return one(s.DefaultMode, corev1.VolumeProjection{Secret: &corev1.SecretProjection{LocalObjectReference: corev1.LocalObjectReference{Name: s.SecretName},
			Items: s.Items, Optional: s.Optional}})
	case v.DownwardAPI != nil:
		return one(v.DownwardAPI.DefaultMode, corev1.VolumeProjection{DownwardAPI: &corev1.DownwardAPIProjection{Items: v.DownwardAPI.Items}})
	}
	return nil
}

// file is one file of a volume.
type file struct {
	data []byte
	mode os.FileMode
}

// gathering collects the files of one volume.
type gathering struct {
	*Volumes
	pod      *corev1.Pod
	state    *pod
	downward Downward
	mode     os.FileMode // of files that have none of their own
	files    map[string]file
	again    time.Time // when a token has to be renewed; zero = never
}

func (g *gathering) all(ctx context.Context, sources []corev1.VolumeProjection) error {
	g.files = map[string]file{}
	var faults []error
	for _, s := range sources {
		if err := g.one(ctx, s); err != nil {
			faults = append(faults, err)
		}
	}
	return errors.Join(faults...)
}

func (g *gathering) one(ctx context.Context, s corev1.VolumeProjection) error {
	switch {
	case s.ConfigMap != nil:
		return g.object(ctx, source{api.ConfigMapKind, g.pod.Namespace, s.ConfigMap.Name}, s.ConfigMap.Items, s.ConfigMap.Optional, "references non-existent config key: ")
	case s.Secret != nil:
		return g.object(ctx, source{api.SecretKind, g.pod.Namespace, s.Secret.Name}, s.Secret.Items, s.Secret.Optional, "references non-existent secret key: ")
	case s.DownwardAPI != nil:
		for _, item := range s.DownwardAPI.Items {
			text, err := g.downward(item)
			if err != nil {
				return err
			}
			g.put(item.Path, []byte(text), item.Mode)
		}
		return nil
	case s.ServiceAccountToken != nil && g.Root == "":
		return nil // nobody there could read it
	case s.ServiceAccountToken != nil:
		return g.token(ctx, s.ServiceAccountToken)
	case s.ClusterTrustBundle != nil:
		return errors.New("this version has no ClusterTrustBundles")
	}
	return errors.New("this version does not know this source of a projected volume")
}

func (g *gathering) put(path string, data []byte, mode *int32) {
	f := file{data: data, mode: g.mode}
	if mode != nil {
		f.mode = os.FileMode(*mode)
	}
	g.files[path] = f
}

// object adds a ConfigMap's or Secret's keys: those that are asked for, or all.
func (g *gathering) object(ctx context.Context, s source, items []corev1.KeyToPath, optional *bool, misses string) error {
	g.follow(s, g.pod.UID)
	data, err := Read(ctx, g.Service, s.kind, api.Key{Namespace: s.namespace, Name: s.name}, optional)
	if err != nil {
		return err
	}
	if len(items) == 0 {
		for key, value := range data {
			g.put(key, []byte(value), nil)
		}
	}
	for _, item := range items {
		value, ok := data[item.Key]
		if !ok && (optional == nil || !*optional) {
			return errors.New(misses + item.Key)
		} else if ok {
			g.put(item.Path, []byte(value), item.Mode)
		}
	}
	return nil
}

// Read is what a ConfigMap or Secret holds; nothing, if it is optional and misses.
func Read(ctx context.Context, svc api.Service, kind *api.Kind, key api.Key, optional *bool) (map[string]string, error) {
	found, err := svc.Get(ctx, api.Target{Kind: kind, Key: key}, api.GetOptions{})
	switch {
	case apierrors.IsNotFound(err) && optional != nil && *optional:
		return nil, nil
	case apierrors.IsNotFound(err):
		return nil, fmt.Errorf("%s %q not found", kind.Singular, key.Name)
	case err != nil:
		return nil, err
	}
	data := map[string]string{}
	var binary map[string][]byte
	switch o := found.Object.(type) {
	case *corev1.ConfigMap:
		maps.Copy(data, o.Data)
		binary = o.BinaryData
	case *corev1.Secret:
		binary = o.Data
	}
	for key, value := range binary {
		data[key] = string(value)
	}
	return data, nil
}

// token is one that the API server has given to a pod.
type token struct {
	value          string
	renew, expires time.Time
}

const (
	oldest     = 24 * time.Hour // no token is used for longer, however long it would live
	renewAgain = time.Minute    // after a failure, while the one before is still good
)

// token adds the pod's token for an audience. It is renewed when four fifths of its life are over.
func (g *gathering) token(ctx context.Context, s *corev1.ServiceAccountTokenProjection) error {
	life := *cmp.Or(s.ExpirationSeconds, new(int64(3600)))
	key, now := fmt.Sprint(s.Audience, " ", life), time.Now()
	t := g.state.tokens[key]
	if !now.Before(t.renew) {
		fresh, err := g.request(ctx, s.Audience, life)
		switch {
		case err == nil:
			t = fresh
		case !now.Before(t.expires):
			return fmt.Errorf("failed to fetch token: %w", err)
		default:
			g.Log.Warn("cannot renew a pod's token; the one before is still good", "pod", api.KeyOf(g.pod), "expires", t.expires, "err", err)
			t.renew = now.Add(renewAgain)
		}
		g.state.tokens[key] = t
	}
	if g.again.IsZero() || t.renew.Before(g.again) {
		g.again = t.renew
	}
	g.put(s.Path, []byte(t.value), nil)
	if fsGroup(g.pod) != nil { // as in Kubernetes: then it is the group's alone
		g.files[s.Path] = file{[]byte(t.value), 0o600}
	}
	return nil
}

func (g *gathering) request(ctx context.Context, audience string, life int64) (token, error) {
	spec := authenticationv1.TokenRequestSpec{ExpirationSeconds: &life,
		BoundObjectRef: &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: g.pod.Name, UID: g.pod.UID}}
	if audience != "" {
		spec.Audiences = []string{audience}
	}
	key := api.Key{Namespace: g.pod.Namespace, Name: cmp.Or(g.pod.Spec.ServiceAccountName, "default")}
	result, err := g.Service.Write(ctx, api.Request{Target: api.Target{Kind: api.ServiceAccountKind, Key: key, Sub: "token"}, Verb: api.VerbCreate,
		Body: &authenticationv1.TokenRequest{Spec: spec}})
	if err != nil {
		return token{}, err
	}
	given, ok := result.Object.(*authenticationv1.TokenRequest)
	if !ok || given.Status.Token == "" {
		return token{}, fmt.Errorf("the API server has answered a TokenRequest with a %T", result.Object)
	}
	expires := given.Status.ExpirationTimestamp.Time
	return token{given.Status.Token, time.Now().Add(min(oldest, time.Until(expires)*4/5)), expires}, nil
}

// Lines are labels or annotations as a file of the downward API tells them.
func Lines(m map[string]string) string {
	var lines []string
	for _, key := range slices.Sorted(maps.Keys(m)) {
		lines = append(lines, fmt.Sprintf("%s=%q", key, m[key]))
	}
	return strings.Join(lines, "\n")
}
