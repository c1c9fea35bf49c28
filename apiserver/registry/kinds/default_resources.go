package kinds

import (
	"maps"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// roundMilli: amounts are kept to a thousandth, rounded up.
func roundMilli(l corev1.ResourceList) {
	for name, q := range l {
		q.RoundUp(resource.Milli)
		l[name] = q
	}
}

// requestsFromLimits: who limits an amount without asking for one asks for that much.
func requestsFromLimits(r *corev1.ResourceRequirements) {
	for name, q := range r.Limits {
		if _, asked := r.Requests[name]; asked {
			continue
		}
		if r.Requests == nil {
			r.Requests = corev1.ResourceList{}
		}
		r.Requests[name] = q.DeepCopy()
	}
}

// defaultPodResources fills requests that are made for a pod as a whole: what its containers ask for together, else what limits it.
func defaultPodResources(s *corev1.PodSpec) {
	r := s.Resources
	if r == nil || len(r.Requests) == 0 && len(r.Limits) == 0 {
		return
	}
	together := sumRequests(s)
	requests := maps.Clone(r.Requests)
	for name, q := range together {
		if _, asked := requests[name]; !asked && podLevel(name) {
			requests = put(requests, name, q)
		}
	}
	r.Requests = requests
	requestsFromLimits(r)
}

func put(l corev1.ResourceList, name corev1.ResourceName, q resource.Quantity) corev1.ResourceList {
	if l == nil {
		l = corev1.ResourceList{}
	}
	l[name] = q.DeepCopy()
	return l
}

// podLevel reports whether an amount can be set for a pod as a whole.
func podLevel(name corev1.ResourceName) bool {
	return name == corev1.ResourceCPU || name == corev1.ResourceMemory || isHugePage(name)
}

// sumRequests is what a pod's containers need at the same time. Init containers run one after another before the others, so that only
// the hungriest counts; sidecars (restartPolicy Always) start among them and stay.
func sumRequests(s *corev1.PodSpec) corev1.ResourceList {
	running, peak := corev1.ResourceList{}, corev1.ResourceList{}
	for i := range s.InitContainers {
		c := &s.InitContainers[i]
		if isSidecar(c) {
			add(running, c.Resources.Requests)
			raise(peak, running)
			continue
		}
		now := maps.Clone(running)
		add(now, c.Resources.Requests)
		raise(peak, now)
	}
	for i := range s.Containers {
		add(running, s.Containers[i].Resources.Requests)
	}
	raise(running, peak)
	return running
}

func isSidecar(c *corev1.Container) bool {
	return c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways
}

func add(sum, more corev1.ResourceList) {
	for name, q := range more {
		total := sum[name].DeepCopy()
		total.Add(q)
		sum[name] = total
	}
}

func raise(to, least corev1.ResourceList) {
	for name, q := range least {
		if have, ok := to[name]; !ok || have.Cmp(q) < 0 {
			to[name] = q.DeepCopy()
		}
	}
}
