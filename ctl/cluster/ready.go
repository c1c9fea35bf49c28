package cluster

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"optimist/internal/api"
	"optimist/internal/client"
)

// check is one thing that must be so before a cluster is Ready.
type check struct {
	name string // also the log that says why not
	ok   func(ctx context.Context, svc api.Service) bool
}

func (c Config) checks() []check {
	var checks []check
	if !c.Sim {
		checks = append(checks, check{"containerd", func(context.Context, api.Service) bool { return accepts("unix", c.socket()) }})
	}
	if c.Server == "" {
		checks = append(checks, []check{
			{"apiserver", func(ctx context.Context, svc api.Service) bool { _, err := svc.Now(ctx); return err == nil }},
			{"scheduler", leads("optimist-scheduler")},
			{"controllers", leads("optimist-controllers")},
		}...)
	}
	for _, node := range c.Nodes {
		if m := c.Members[node]; m.Stopped || m.Cut {
			continue
		}
		checks = append(checks, check{"agent-" + node, nodeReady(node)})
	}
	return checks
}

func accepts(network, addr string) bool {
	conn, err := net.Dial(network, addr)
	if err != nil {
		return false
	}
	conn.Close()
	return true
}

// leads asks whether a component holds its Lease now: one of an earlier life has not been renewed lately.
func leads(lease string) func(context.Context, api.Service) bool {
	return func(ctx context.Context, svc api.Service) bool {
		return renewed(ctx, svc, metav1.NamespaceSystem, lease)
	}
}

func renewed(ctx context.Context, svc api.Service, namespace, name string) bool {
	l, err := api.Leases.Get(ctx, svc, api.Key{Namespace: namespace, Name: name})
	return err == nil && l.Spec.HolderIdentity != nil && *l.Spec.HolderIdentity != "" && l.Spec.RenewTime != nil && time.Since(l.Spec.RenewTime.Time) < 15*time.Second
}

func nodeReady(name string) func(context.Context, api.Service) bool {
	return func(ctx context.Context, svc api.Service) bool {
		n, err := api.Nodes.Get(ctx, svc, api.Key{Name: name})
		return err == nil && renewed(ctx, svc, corev1.NamespaceNodeLease, name) && api.NodeReady(n)
	}
}

// cannotRun is the error of a part that dies again and again: waiting longer is in vain.
type cannotRun struct{ error }

// awaitReady tells of each part as it becomes ready. It gives up when the time has passed or a part dies again and again.
func (c Config) awaitReady(ctx context.Context, began time.Time, limit time.Duration, out io.Writer) error {
	svc, err := c.client()
	if err != nil {
		return err
	}
	defer svc.Close()
	patient, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for _, check := range c.checks() {
		for !check.ok(patient, svc) {
			switch err := c.failure(check.name); {
			case ctx.Err() != nil:
				return fmt.Errorf("interrupted while waiting for %s", check.name)
			case err != nil:
				return cannotRun{err}
			case patient.Err() != nil:
				return fmt.Errorf("%s was not ready within %s%s", check.name, limit, lastLines(c.logOf(check.name), 5))
			}
			time.Sleep(5 * time.Millisecond)
		}
		fmt.Fprintf(out, " ✓ %-14s %.1fs\n", check.name, time.Since(began).Seconds())
	}
	return nil
}

// logOf is where a part says what is the matter; a simulated cluster has but one process.
func (c Config) logOf(part string) string {
	if c.Sim {
		part = "supervisor"
	}
	return c.logFile(part)
}

// client speaks to the cluster as its administrator.
func (c Config) client() (*client.Client, error) {
	cfg, err := client.Load(c.kubeconfig(), "")
	if err != nil {
		return nil, err
	}
	return client.New(cfg)
}

// lastLines quotes the end of a log in a message; "" when there is none.
func lastLines(path string, n int) string {
	data, err := os.ReadFile(path)
	if err != nil || len(data) == 0 {
		return ""
	}
	lines := strings.Split(string(bytes.TrimSpace(data)), "\n")
	return fmt.Sprintf("; %s ends with:\n  %s", path, strings.Join(lines[max(0, len(lines)-n):], "\n  "))
}
