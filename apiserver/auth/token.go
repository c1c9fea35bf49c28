package auth

import (
	"context"
	"crypto/subtle"
	"errors"
	"net"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"optimist/internal/api"
)

// Tokens knows who shows a token: a bootstrap token (system:bootstrap:<id>, as Kubernetes calls it) or a ServiceAccount's.
type Tokens struct {
	Service api.Service // to read what tokens are bound to, as the API server

	keys   []key // of ServiceAccounts' tokens
	mu     sync.Mutex
	failed map[string]int // by address, since
	since  time.Time
}

const (
	maxFailures  = 10 // of an address in a minute: further tokens from there are not even looked at
	maxAddresses = 4096
)

var tokenID = regexp.MustCompile(`^[a-z0-9]{6}$`)

var errToken = apierrors.NewUnauthorized("the token is unknown, wrong or expired: make a new one (ctl create token, or for joining ctl token create)")

// User is whom a token, shown from an address, speaks for. Who shows too many that were made up is not listened to for a while; one that was good
// once does not count, nor can a ServiceAccount's be guessed.
func (k *Tokens) User(ctx context.Context, from net.Addr, token string) (api.User, error) {
	host, _, _ := net.SplitHostPort(from.String())
	if strings.Count(token, ".") != 2 && k.count(host, 0) >= maxFailures {
		return api.User{}, apierrors.NewTooManyRequests("too many wrong tokens came from "+host+": try again in a minute", 60)
	}
	u, _, err := k.identify(ctx, token, []string{issuer})
	if errors.Is(err, errForged) || errors.Is(err, errToken) {
		k.count(host, 1)
	}
	if ours := apierrors.APIStatus(nil); err != nil && !errors.As(err, &ours) {
		err = apierrors.NewUnauthorized(err.Error())
	}
	return u, err
}

// identify returns the user, and for which of the audiences the token is meant. What is wrong with a ServiceAccount's it says in plain errors.
func (k *Tokens) identify(ctx context.Context, token string, audiences []string) (api.User, []string, error) {
	if strings.Count(token, ".") == 2 {
		return k.account(ctx, token, audiences)
	}
	if !slices.Contains(audiences, issuer) {
		return api.User{}, nil, errToken
	}
	u, err := k.bootstrap(ctx, token)
	return u, []string{issuer}, err
}

// bootstrap takes tokens of the form id.secret.
func (k *Tokens) bootstrap(ctx context.Context, token string) (api.User, error) {
	id, secret, _ := strings.Cut(token, ".")
	if !tokenID.MatchString(id) {
		return api.User{}, errToken
	}
	s, err := api.Secrets.Get(ctx, k.Service, api.Key{Namespace: metav1.NamespaceSystem, Name: "bootstrap-token-" + id})
	if err != nil && !apierrors.IsNotFound(err) {
		return api.User{}, err
	}
	if err != nil || !good(s, secret, time.Now()) {
		return api.User{}, errToken
	}
	u := api.User{Name: api.BootstrapPrefix + id, Groups: []string{api.GroupBootstrappers, authenticated}}
	if extra := string(s.Data["auth-extra-groups"]); extra != "" {
		u.Groups = append(u.Groups, strings.Split(extra, ",")...)
	}
	return u, nil
}

func good(s *corev1.Secret, secret string, now time.Time) bool {
	end, err := time.Parse(time.RFC3339, string(s.Data["expiration"]))
	alive := len(s.Data["expiration"]) == 0 || err == nil && now.Before(end)
	same := subtle.ConstantTimeCompare(s.Data["token-secret"], []byte(secret)) == 1
	return same && alive && secret != "" && s.DeletionTimestamp == nil &&
		s.Type == corev1.SecretTypeBootstrapToken && string(s.Data["usage-bootstrap-authentication"]) == "true"
}

// count adds failures to an address's and returns how many it has in this minute. Should there be too many addresses, all begin anew.
func (k *Tokens) count(host string, more int) int {
	k.mu.Lock()
	defer k.mu.Unlock()
	if time.Since(k.since) > time.Minute || len(k.failed) > maxAddresses {
		k.failed, k.since = map[string]int{}, time.Now()
	}
	if more > 0 {
		k.failed[host] += more
	}
	return k.failed[host]
}
