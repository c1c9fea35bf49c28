package cluster

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"optimist/internal/api"
	"optimist/internal/client"
)

// check is one thing that must be so before a cluster is Ready.
type check struct {
	name string // also the log that says why not
	ok   func(ctx context.Context, svc api.Service) bool
}

func (c Config) checks() []check {
	checks := []check{
		{"apiserver", func(ctx context.Context, svc api.Service) bool { _, err := svc.Now(ctx); return err == nil }},
		{"scheduler", leads("optimist-scheduler")},
		{"controllers", leads("optimist-controllers")},
	}
	for _, node := range c.Nodes {
		checks = append(checks, check{"agent-" + node, nodeReady(node)})
	}
	return checks
}

// leads asks whether a component holds its Lease now: one of an earlier life has not been renewed lately.
func leads(lease string) func(context.Context, api.Service) bool {
	return func(ctx context.Context, svc api.Service) bool {
		l, err := api.Leases.Get(ctx, svc, api.Key{Namespace: "kube-system", Name: lease})
		return err == nil && l.Spec.HolderIdentity != nil && *l.Spec.HolderIdentity != "" && l.Spec.RenewTime != nil &&
			time.Since(l.Spec.RenewTime.Time) < 15*time.Second
	}
}

func nodeReady(name string) func(context.Context, api.Service) bool {
	return func(ctx context.Context, svc api.Service) bool {
		n, err := api.Nodes.Get(ctx, svc, api.Key{Name: name})
		if err != nil {
			return false
		}
		lease, err := api.Leases.Get(ctx, svc, api.Key{Namespace: corev1.NamespaceNodeLease, Name: name})
		if err != nil || lease.Spec.RenewTime == nil || time.Since(lease.Spec.RenewTime.Time) > 15*time.Second {
			return false
		}
		for _, cond := range n.Status.Conditions {
			if cond.Type == corev1.NodeReady {
				return cond.Status == corev1.ConditionTrue
			}
		}
		return false
	}
}

// awaitReady tells of each part as it becomes ready.
func (c Config) awaitReady(began time.Time, limit time.Duration, out io.Writer) error {
	svc, err := c.client()
	if err != nil {
		return err
	}
	defer svc.Close()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	for _, check := range c.checks() {
		for !check.ok(ctx, svc) {
			if ctx.Err() != nil {
				return fmt.Errorf("%s was not ready within %s%s", check.name, limit, lastLines(c.logFile(check.name), 5))
			}
			time.Sleep(5 * time.Millisecond)
		}
		fmt.Fprintf(out, " ✓ %-14s %.1fs\n", check.name, time.Since(began).Seconds())
	}
	return nil
}

// client speaks to the cluster as its administrator.
func (c Config) client() (*client.Client, error) {
	cfg, err := client.Load(c.kubeconfig(), "")
	if err != nil {
		return nil, err
	}
	return client.New(cfg)
}

// answers reports whether this cluster's API server is what listens on its port: a supervisor was killed and it runs on.
func (c Config) answers() bool {
	svc, err := c.client()
	if err != nil {
		return false
	}
	defer svc.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	_, err = svc.Now(ctx)
	return err == nil
}

// lastLines quotes the end of a log in a message; "" when there is none.
func lastLines(path string, n int) string {
	data, err := os.ReadFile(path)
	if err != nil || len(data) == 0 {
		return ""
	}
	lines := strings.Split(string(bytes.TrimSpace(data)), "\n")
	return fmt.Sprintf("; the end of %s:\n  %s", path, strings.Join(lines[max(0, len(lines)-n):], "\n  "))
}
