//go:build linux

package main

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"

	"optimist/e2e/real"
	"optimist/internal/api"
	"optimist/internal/client"
)

// start measures the first minute of a cluster: up from nothing, the image loaded, a pod created and seen Running; then stopped, started
// with the image present, and again a new pod. The clock runs from the first command on; all commands are processes of their own.
func start(ctx context.Context, p plan) ([]figure, error) {
	var up, load, pod, cold, warm []time.Duration
	for range p.starts {
		m := &measured{}
		if err := m.run(ctx); err != nil {
			return nil, err
		}
		up, load, pod = append(up, m.up), append(load, m.load), append(pod, m.pod)
		cold, warm = append(cold, m.up+m.load+m.pod), append(warm, m.start+m.again)
	}
	return []figure{
		{name: "cold start: `ctl up` from nothing, `ctl image load`, pod created, seen Running", value: seconds(cold), reach: "≤ 3 s"},
		{name: "  of this: ctl up (returns when Ready)", value: seconds(up)},
		{name: "  of this: ctl image load (1.1 MB)", value: seconds(load)},
		{name: "  of this: pod created to seen Running", value: seconds(pod)},
		{name: "stopped cluster, image present: `ctl start`, pod created, seen Running", value: seconds(warm), reach: "≤ 3 s"},
	}, nil
}

// measured is one life of a cluster.
type measured struct {
	up, load, pod, start, again time.Duration
}

func (m *measured) run(ctx context.Context) (err error) {
	c, err := real.New("b")
	if err != nil {
		return err
	}
	defer func() {
		if e := c.Close(); err == nil {
			err = e
		}
	}()
	for _, step := range []struct {
		takes *time.Duration
		do    func() error
	}{
		{&m.up, ctl(c, "up", "--name", c.Name)},
		{&m.load, ctl(c, "image", "load", image(c))},
		{&m.pod, func() error { return runPod(ctx, c, "first") }},
		{new(time.Duration), ctl(c, "stop", "--name", c.Name)},
		{&m.start, ctl(c, "start", "--name", c.Name)},
		{&m.again, func() error { return runPod(ctx, c, "again") }},
	} {
		began := time.Now()
		if err := step.do(); err != nil {
			return err
		}
		*step.takes = time.Since(began)
	}
	return nil
}

func ctl(c *real.Cluster, args ...string) func() error {
	return func() error { _, err := c.Ctl(args...); return err }
}

func image(c *real.Cluster) string { return filepath.Join(c.Bin, "images", "optimist-busybox-1.tar") }

// connect opens a connection from inside the cluster's network namespace.
func connect(c *real.Cluster) (*client.Client, error) {
	conf, err := client.Load(c.Kubeconfig, "")
	if err != nil {
		return nil, err
	}
	conf.Dial = c.Dial
	return client.New(conf)
}

// runPod creates a pod and waits for the event that tells that it is Running.
func runPod(ctx context.Context, c *real.Cluster, name string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	svc, err := connect(c)
	if err != nil {
		return err
	}
	defer svc.Close()
	pod, err := api.Pods.Create(ctx, svc, sleeper(name))
	if err != nil {
		return err
	}
	seq, err := svc.Watch(ctx, api.Target{Kind: api.PodKind, Key: api.Key{Namespace: pod.Namespace}},
		api.WatchOptions{Initial: true, Fields: fields.OneTermEqualSelector("metadata.name", name)})
	if err != nil {
		return err
	}
	for events, err := range seq {
		if err != nil {
			return fmt.Errorf("pod %s is not Running: %w", name, err)
		}
		for _, e := range events {
			if p, ok := e.Object.(*corev1.Pod); ok && p.Status.Phase == corev1.PodRunning {
				return nil
			}
		}
	}
	return ctx.Err()
}

func sleeper(name string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name},
		Spec: corev1.PodSpec{TerminationGracePeriodSeconds: new(int64), Containers: []corev1.Container{{
			Name: "main", Image: "optimist/busybox:1", Command: []string{"sleep", "1000000"},
		}}},
	}
}
