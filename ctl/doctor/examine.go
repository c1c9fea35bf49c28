package doctor

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"optimist/internal/api"
)

// Cluster is how the doctor reaches one.
type Cluster struct {
	api.Service
	Exec func(ctx context.Context, pod api.Key, command ...string) ([]byte, error)
	Load func(ctx context.Context, node string, image io.Reader) error // an image archive
	Say  func(format string, args ...any)                              // what is being done
}

const (
	service = "doctor"
	starts  = time.Minute // how long pods may take to start
)

// Examine starts a pod on every ready node, has each ask the others, and removes them all.
func (c Cluster) Examine(ctx context.Context) (findings []Finding, answers map[string]Answers, err error) {
	nodes, err := api.Nodes.List(ctx, c, "", api.ListOptions{})
	if err != nil {
		return nil, nil, err
	}
	findings, ready := judgeNodes(nodes)
	if len(ready) == 0 {
		return findings, nil, nil
	}
	c.Say("loading the doctor's image onto %d nodes", len(ready))
	image, err := c.load(ctx, ready)
	if err != nil {
		return findings, nil, err
	}
	ns := service + "-" + strconv.FormatInt(time.Now().UnixNano(), 36)
	defer func() { err = errors.Join(err, c.remove(context.WithoutCancel(ctx), ns)) }()
	c.Say("starting a pod on each")
	q, missing, err := c.start(ctx, ns, image, ready)
	if err != nil {
		return findings, nil, err
	}
	findings = append(findings, missing...)
	c.Say("asking: every pod asks each other one")
	if answers, err = c.ask(ctx, ns, q); err != nil {
		return findings, nil, err
	}
	return append(findings, judge(answers)...), answers, nil
}

func (c Cluster) load(ctx context.Context, nodes []string) (string, error) {
	var archive bytes.Buffer
	image, err := Image(&archive)
	if err != nil {
		return "", err
	}
	for _, node := range nodes {
		if err := c.Load(ctx, node, bytes.NewReader(archive.Bytes())); err != nil {
			return "", fmt.Errorf("load the doctor's image onto node %s: %w", node, err)
		}
	}
	return image, nil
}

// start makes the namespace, the Service and the pods, and waits for them; a pod that does not start is a finding.
func (c Cluster) start(ctx context.Context, ns, image string, nodes []string) (q Questions, missing []Finding, err error) {
	labels := map[string]string{"app": service}
	_, err = api.Namespaces.Create(ctx, c, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns}})
	if err != nil {
		return q, nil, err
	}
	ports := []corev1.ServicePort{{Name: "tcp", Port: port, Protocol: corev1.ProtocolTCP}, {Name: "udp", Port: port, Protocol: corev1.ProtocolUDP}}
	front, err := api.Services.Create(ctx, c, &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: service},
		Spec: corev1.ServiceSpec{Selector: labels, Ports: ports}})
	if err != nil {
		return q, nil, err
	}
	q = Questions{Pods: map[string]string{}, Service: front.Spec.ClusterIP, Name: service + "." + ns + ".svc.cluster.local"}
	for _, node := range nodes {
		grace := int64(0)
		_, err := api.Pods.Create(ctx, c, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: node, Labels: labels}, Spec: corev1.PodSpec{
			NodeName: node, Tolerations: []corev1.Toleration{{Operator: corev1.TolerationOpExists}}, TerminationGracePeriodSeconds: &grace,
			Containers: []corev1.Container{{Name: service, Image: image, ImagePullPolicy: corev1.PullNever, Args: []string{"doctor", "serve"},
				ReadinessProbe: &corev1.Probe{PeriodSeconds: 1, ProbeHandler: corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromInt32(port)}}}}}}})
		if err != nil {
			return q, nil, err
		}
	}
	for end := time.Now().Add(starts); len(q.Pods) < len(nodes) && time.Now().Before(end) && ctx.Err() == nil; time.Sleep(100 * time.Millisecond) {
		pods, err := api.Pods.List(ctx, c, ns, api.ListOptions{})
		if err != nil {
			return q, nil, err
		}
		for _, p := range pods {
			if api.PodReady(p) {
				q.Pods[p.Spec.NodeName] = p.Status.PodIP
			}
		}
	}
	for _, node := range nodes {
		if _, ok := q.Pods[node]; !ok {
			missing = append(missing, Finding{Bad, node, fmt.Sprintf("its pod is not ready after %s", starts), "ctl logs --component node/" + node})
		}
	}
	return q, missing, ctx.Err()
}

// ask has all pods ask at the same time, twice if need be: a Service just made may not be known everywhere yet.
func (c Cluster) ask(ctx context.Context, ns string, q Questions) (map[string]Answers, error) {
	question, err := json.Marshal(q)
	if err != nil {
		return nil, err
	}
	all := make([]Answers, len(q.Pods))
	nodes := slices.Sorted(maps.Keys(q.Pods))
	g, running := errgroup.WithContext(ctx)
	for i, node := range nodes {
		g.Go(func() error {
			for range 2 {
				out, err := c.Exec(running, api.Key{Namespace: ns, Name: node}, program, "doctor", "ask", string(question))
				if err == nil {
					all[i] = nil
					err = json.Unmarshal(out, &all[i])
				}
				if err != nil {
					return fmt.Errorf("the pod on node %s: %w", node, err)
				}
				if len(all[i]) == 0 {
					break
				}
			}
			return nil
		})
	}
	answers := map[string]Answers{}
	err = g.Wait()
	for i, node := range nodes {
		answers[node] = all[i]
	}
	return answers, err
}

// remove deletes the namespace and waits until it is gone.
func (c Cluster) remove(ctx context.Context, ns string) error {
	c.Say("removing what was made")
	ctx, cancel := context.WithTimeout(ctx, starts)
	defer cancel()
	err := api.Namespaces.Delete(ctx, c, api.Key{Name: ns}, api.Options{})
	for err == nil {
		time.Sleep(100 * time.Millisecond)
		_, err = api.Namespaces.Get(ctx, c, api.Key{Name: ns})
	}
	if apierrors.IsNotFound(err) {
		return nil
	}
	return fmt.Errorf("remove namespace %s (ctl delete namespace %s): %w", ns, ns, err)
}
