package stories

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"optimist/internal/api"
)

// words are what a story can ask of an object, by kind.
var words = map[string]map[string]func(api.Object) string{
	"Deployment": {
		"replicas":    deployment(func(d *appsv1.Deployment) any { return d.Status.Replicas }),
		"updated":     deployment(func(d *appsv1.Deployment) any { return d.Status.UpdatedReplicas }),
		"available":   deployment(func(d *appsv1.Deployment) any { return d.Status.AvailableReplicas }),
		"unavailable": deployment(func(d *appsv1.Deployment) any { return d.Status.UnavailableReplicas }),
		"revision":    deployment(func(d *appsv1.Deployment) any { return d.Annotations["deployment.kubernetes.io/revision"] }),
		"Available":   deployment(func(d *appsv1.Deployment) any { return deploymentCondition(d, appsv1.DeploymentAvailable).Status }),
		"Progressing": deployment(func(d *appsv1.Deployment) any { return deploymentCondition(d, appsv1.DeploymentProgressing).Reason }),
	},
	"Pod": {
		"phase":            pod(func(p *corev1.Pod) any { return p.Status.Phase }),
		"node":             pod(func(p *corev1.Pod) any { return p.Spec.NodeName }),
		"image":            pod(func(p *corev1.Pod) any { return p.Spec.Containers[0].Image }),
		"ready":            pod(func(p *corev1.Pod) any { return podCondition(p, corev1.PodReady).Status }),
		"scheduled":        pod(func(p *corev1.Pod) any { return podCondition(p, corev1.PodScheduled).Status }),
		"waiting":          pod(func(p *corev1.Pod) any { return waiting(p) }),
		"exit":             pod(func(p *corev1.Pod) any { return exitCode(p) }),
		"terminating":      pod(func(p *corev1.Pod) any { return p.DeletionTimestamp != nil }),
		"DisruptionTarget": pod(func(p *corev1.Pod) any { return podCondition(p, corev1.DisruptionTarget).Reason }),
		"restarts": pod(func(p *corev1.Pod) any {
			var n int32
			for _, c := range p.Status.ContainerStatuses {
				n += c.RestartCount
			}
			return n
		}),
	},
	"Node": {
		"Ready": func(o api.Object) string {
			for _, c := range o.(*corev1.Node).Status.Conditions {
				if c.Type == corev1.NodeReady {
					return string(c.Status)
				}
			}
			return ""
		},
		"taints": func(o api.Object) string {
			var all []string
			for _, t := range o.(*corev1.Node).Spec.Taints {
				all = append(all, strings.TrimPrefix(t.ToString(), "node.kubernetes.io/"))
			}
			return strings.Join(all, ",")
		},
		"podCIDR": func(o api.Object) string { return o.(*corev1.Node).Spec.PodCIDR },
	},
	"EndpointSlice": {
		"ready":     slice(func(e discoveryv1.Endpoint) bool { return *e.Conditions.Ready }),
		"serving":   slice(func(e discoveryv1.Endpoint) bool { return *e.Conditions.Serving }),
		"endpoints": slice(func(discoveryv1.Endpoint) bool { return true }),
	},
	"Service": {
		"clusterIP": func(o api.Object) string { return o.(*corev1.Service).Spec.ClusterIP },
	},
	"Endpoints": {
		"addresses": func(o api.Object) string {
			var n int
			for _, s := range o.(*corev1.Endpoints).Subsets {
				n += len(s.Addresses)
			}
			return strconv.Itoa(n)
		},
	},
	"Namespace": {
		"phase": func(o api.Object) string { return string(o.(*corev1.Namespace).Status.Phase) },
	},
}

func deployment(f func(*appsv1.Deployment) any) func(api.Object) string {
	return func(o api.Object) string { return fmt.Sprint(f(o.(*appsv1.Deployment))) }
}

func pod(f func(*corev1.Pod) any) func(api.Object) string {
	return func(o api.Object) string { return fmt.Sprint(f(o.(*corev1.Pod))) }
}

// slice counts the endpoints of which something is so.
func slice(is func(discoveryv1.Endpoint) bool) func(api.Object) string {
	return func(o api.Object) string {
		var n int
		for _, e := range o.(*discoveryv1.EndpointSlice).Endpoints {
			if is(e) {
				n++
			}
		}
		return strconv.Itoa(n)
	}
}

func deploymentCondition(d *appsv1.Deployment, t appsv1.DeploymentConditionType) appsv1.DeploymentCondition {
	for _, c := range d.Status.Conditions {
		if c.Type == t {
			return c
		}
	}
	return appsv1.DeploymentCondition{}
}

func podCondition(p *corev1.Pod, t corev1.PodConditionType) corev1.PodCondition {
	for _, c := range p.Status.Conditions {
		if c.Type == t {
			return c
		}
	}
	return corev1.PodCondition{}
}

func statuses(p *corev1.Pod) []corev1.ContainerStatus {
	return slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses)
}

func waiting(p *corev1.Pod) string {
	for _, c := range statuses(p) {
		if c.State.Waiting != nil {
			return c.State.Waiting.Reason
		}
	}
	return ""
}

func exitCode(p *corev1.Pod) string {
	for _, c := range statuses(p) {
		for _, s := range []corev1.ContainerState{c.State, c.LastTerminationState} {
			if s.Terminated != nil {
				return strconv.Itoa(int(s.Terminated.ExitCode))
			}
		}
	}
	return ""
}

// find returns the object KIND/NAME, or all objects KIND with the labels, if they exist. Namespace "x" is written KIND/x:NAME.
func (s *story) find(what string, set labels.Set) ([]api.Object, error) {
	kind, name, one := strings.Cut(what, "/")
	k := api.Builtin.Find(kind)
	if k == nil {
		return nil, fmt.Errorf("no kind %q", kind)
	}
	namespace := ""
	if k.Namespaced {
		namespace = metav1.NamespaceDefault
		if ns, rest, ok := strings.Cut(name, ":"); ok {
			namespace, name = ns, rest
		}
	}
	l, err := s.cl.Service().List(s.ctx, api.Target{Kind: k, Key: api.Key{Namespace: namespace}}, api.ListOptions{Selector: labels.SelectorFromSet(set)})
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(l.Items, func(o api.Object) bool { return one && o.GetName() != name }), nil
}

// holds checks one `expect` line and says what is so.
func (s *story) holds(args []string) (bool, string) {
	if name, ok := strings.CutPrefix(args[0], "sandboxes/"); ok {
		boxes, err := s.runtime[name].State(s.ctx)
		return err == nil && args[1] == fmt.Sprintf("count=%d", len(boxes)), fmt.Sprintf("%d (%v)", len(boxes), err)
	}
	if !strings.Contains(args[0], "/") {
		return s.holdsForMany(args)
	}
	objects, err := s.find(args[0], nil)
	if err != nil || len(objects) != 1 {
		return false, fmt.Sprintf("not there (%v)", err)
	}
	return match(objects[0], args[1:])
}

func (s *story) holdsForMany(args []string) (bool, string) {
	set, conditions, count := labels.Set{}, []string{}, ""
	kind := api.Builtin.Find(args[0])
	for _, a := range args[1:] {
		key, value, _ := strings.Cut(a, "=")
		switch {
		case key == "count":
			count = value
		case kind != nil && words[kind.Name][key] != nil:
			conditions = append(conditions, a)
		default:
			set[key] = value
		}
	}
	objects, err := s.find(args[0], set)
	if err != nil {
		return false, err.Error()
	}
	n, seen := 0, []string{}
	for _, o := range objects {
		ok, is := match(o, conditions)
		if ok {
			n++
		}
		seen = append(seen, o.GetName()+" "+is)
	}
	return strconv.Itoa(n) == count, fmt.Sprintf("%d match of %v", n, seen)
}

func match(o api.Object, conditions []string) (ok bool, is string) {
	ok = true
	kind := api.Builtin.Of(o)
	var seen []string
	for _, c := range conditions {
		word, want, _ := strings.Cut(c, "=")
		ask := words[kind.Name][word]
		if ask == nil {
			return false, fmt.Sprintf("a %s has no word %q", kind.Name, word)
		}
		got := ask(o)
		ok = ok && got == want
		seen = append(seen, word+"="+got)
	}
	return ok, strings.Join(seen, " ")
}
