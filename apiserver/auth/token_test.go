package auth

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"optimist/internal/api"
	"optimist/internal/api/apitest"
)

func TestTokens(t *testing.T) {
	s := gateway(t)
	ctx := api.WithUser(t.Context(), api.User{Name: api.UserAPIServer, Groups: []string{api.GroupMasters}})
	for id, rest := range map[string]string{
		"aaaaaa": "", "bbbbbb": ", expiration: '" + time.Now().Add(time.Hour).Format(time.RFC3339) + "'",
		"cccccc": ", expiration: '" + time.Now().Add(-time.Second).Format(time.RFC3339) + "'",
		"dddddd": ", usage-bootstrap-authentication: 'false'", "eeeeee": ", auth-extra-groups: 'system:bootstrappers:x,system:bootstrappers:y'",
	} {
		if !strings.Contains(rest, "usage-bootstrap-authentication") {
			rest += ", usage-bootstrap-authentication: 'true'"
		}
		text := fmt.Sprintf("{apiVersion: v1, kind: Secret, type: bootstrap.kubernetes.io/token, metadata: {namespace: kube-system, name: bootstrap-token-%s}, stringData: {token-id: %s, token-secret: 0123456789abcdef%s}}", id, id, rest)
		o := apitest.Object(t, text)
		if _, err := s.Write(ctx, api.Request{Target: api.Target{Kind: api.SecretKind, Key: api.KeyOf(o)}, Verb: api.VerbCreate, Body: o}); err != nil {
			t.Fatal(err)
		}
	}
	k := &Tokens{Service: api.Via(func(ctx context.Context) (context.Context, api.Service, error) {
		return api.WithUser(ctx, api.User{Name: api.UserAPIServer, Groups: []string{api.GroupMasters}}), s, nil
	})}
	for i, row := range []struct{ token, groups string }{
		{"aaaaaa.0123456789abcdef", "system:bootstrappers,system:authenticated"},
		{"bbbbbb.0123456789abcdef", "system:bootstrappers,system:authenticated"},
		{"eeeeee.0123456789abcdef", "system:bootstrappers,system:authenticated,system:bootstrappers:x,system:bootstrappers:y"},
		{"cccccc.0123456789abcdef", ""}, {"dddddd.0123456789abcdef", ""}, {"aaaaaa.0123456789abcdee", ""}, {"aaaaaa.0123456789abcde", ""}, {"aaaaaa.", ""},
		{"aaaaaa", ""}, {"", ""}, {"zzzzzz.0123456789abcdef", ""}, {"AAAAAA.0123456789abcdef", ""}, {"../../x.0123456789abcdef", ""}, {strings.Repeat("a", 1<<16), ""},
	} {
		from := &net.TCPAddr{IP: net.IPv4(10, 0, 0, byte(i)), Port: i}
		u, err := k.User(t.Context(), from, row.token)
		if good := row.groups != ""; good != (err == nil) || good && (u.Name != "system:bootstrap:"+row.token[:6] || strings.Join(u.Groups, ",") != row.groups) || !good && !apierrors.IsUnauthorized(err) {
			t.Errorf("%.30s: %+v, %v", row.token, u, err)
		}
	}
	guess := func(ip byte, token string) error {
		_, err := k.User(t.Context(), &net.TCPAddr{IP: net.IPv4(10, 1, 0, ip)}, token)
		return err
	}
	for range maxFailures {
		if err := guess(1, "aaaaaa.wrong"); !apierrors.IsUnauthorized(err) {
			t.Fatal(err)
		}
	}
	if err := guess(1, "aaaaaa.0123456789abcdef"); !apierrors.IsTooManyRequests(err) {
		t.Errorf("after %d failures: %v", maxFailures, err)
	}
	if err := guess(2, "aaaaaa.0123456789abcdef"); err != nil {
		t.Errorf("from elsewhere: %v", err)
	}
	k.since = time.Now().Add(-2 * time.Minute)
	if err := guess(1, "aaaaaa.0123456789abcdef"); err != nil {
		t.Errorf("a minute later: %v", err)
	}
	for i := range 2 * maxAddresses {
		k.count(fmt.Sprint(i), 1)
	}
	if len(k.failed) > maxAddresses+1 {
		t.Errorf("%d addresses are remembered", len(k.failed))
	}
}
