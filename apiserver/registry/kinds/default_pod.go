package kinds

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// fill sets a field that its author left empty.
func fill[T comparable](field *T, value T) {
	var empty T
	if *field == empty {
		*field = value
	}
}

// fillPtr sets an optional field that its author left out.
func fillPtr[T any](field **T, value T) {
	if *field == nil {
		*field = &value
	}
}

// defaultPod adds to defaultPodSpec what Kubernetes fills in for pods but not for templates: a template must stay as it was written, so
// that its hash does not change when defaults are added.
func defaultPod(p *corev1.Pod) {
	defaultPodSpec(&p.Spec)
	fillPtr(&p.Spec.EnableServiceLinks, true)
	eachContainer(&p.Spec, func(c *corev1.Container) {
		requestsFromLimits(&c.Resources)
		if p.Spec.HostNetwork {
			defaultHostPorts(c.Ports)
		}
	})
	defaultPodResources(&p.Spec)
}

func defaultPodSpec(s *corev1.PodSpec) {
	fill(&s.DNSPolicy, corev1.DNSClusterFirst)
	fill(&s.RestartPolicy, corev1.RestartPolicyAlways)
	fill(&s.SchedulerName, corev1.DefaultSchedulerName)
	fillPtr(&s.SecurityContext, corev1.PodSecurityContext{})
	fillPtr(&s.TerminationGracePeriodSeconds, int64(corev1.DefaultTerminationGracePeriodSeconds))
	// serviceAccount is the old name of serviceAccountName; both always say the same.
	fill(&s.ServiceAccountName, s.DeprecatedServiceAccount)
	s.DeprecatedServiceAccount = s.ServiceAccountName
	roundMilli(s.Overhead)
	for i := range s.Volumes {
		defaultVolume(&s.Volumes[i])
	}
	eachContainer(s, defaultContainer)
	for i := range s.EphemeralContainers {
		c := corev1.Container(s.EphemeralContainers[i].EphemeralContainerCommon)
		defaultContainer(&c)
		s.EphemeralContainers[i].EphemeralContainerCommon = corev1.EphemeralContainerCommon(c)
	}
}

// eachContainer visits init containers and containers, in the order in which they start.
func eachContainer(s *corev1.PodSpec, f func(*corev1.Container)) {
	for i := range s.InitContainers {
		f(&s.InitContainers[i])
	}
	for i := range s.Containers {
		f(&s.Containers[i])
	}
}

func defaultContainer(c *corev1.Container) {
	fill(&c.ImagePullPolicy, pullPolicyFor(c.Image))
	fill(&c.TerminationMessagePath, corev1.TerminationMessagePathDefault)
	fill(&c.TerminationMessagePolicy, corev1.TerminationMessageReadFile)
	roundMilli(c.Resources.Limits)
	roundMilli(c.Resources.Requests)
	for i := range c.Ports {
		fill(&c.Ports[i].Protocol, corev1.ProtocolTCP)
	}
	for i := range c.Env {
		defaultEnv(&c.Env[i])
	}
	for _, p := range []*corev1.Probe{c.LivenessProbe, c.ReadinessProbe, c.StartupProbe} {
		defaultProbe(p)
	}
	if c.Lifecycle == nil {
		return
	}
	for _, h := range []*corev1.LifecycleHandler{c.Lifecycle.PostStart, c.Lifecycle.PreStop} {
		if h != nil {
			defaultHTTPGet(h.HTTPGet)
		}
	}
}

// pullPolicyFor looks at the tag: what may move is fetched each time. No tag at all means latest.
func pullPolicyFor(image string) corev1.PullPolicy {
	name, _, digested := strings.Cut(image, "@")
	_, tag, tagged := strings.Cut(name[strings.LastIndex(name, "/")+1:], ":")
	if tag == "latest" || !tagged && !digested {
		return corev1.PullAlways
	}
	return corev1.PullIfNotPresent
}

func defaultEnv(e *corev1.EnvVar) {
	if e.ValueFrom == nil {
		return
	}
	defaultFieldRef(e.ValueFrom.FieldRef)
	if r := e.ValueFrom.FileKeyRef; r != nil {
		fillPtr(&r.Optional, false)
	}
}

func defaultFieldRef(r *corev1.ObjectFieldSelector) {
	if r != nil {
		fill(&r.APIVersion, "v1")
	}
}

func defaultProbe(p *corev1.Probe) {
	if p == nil {
		return
	}
	fill(&p.TimeoutSeconds, 1)
	fill(&p.PeriodSeconds, 10)
	fill(&p.SuccessThreshold, 1)
	fill(&p.FailureThreshold, 3)
	defaultHTTPGet(p.HTTPGet)
	if p.GRPC != nil {
		fillPtr(&p.GRPC.Service, "")
	}
}

func defaultHTTPGet(h *corev1.HTTPGetAction) {
	if h != nil {
		fill(&h.Path, "/")
		fill(&h.Scheme, corev1.URISchemeHTTP)
	}
}

// defaultHostPorts: on the host's network a container's port is the host's.
func defaultHostPorts(ports []corev1.ContainerPort) {
	for i := range ports {
		fill(&ports[i].HostPort, ports[i].ContainerPort)
	}
}

// defaultPort makes a Service's target the same number as its port.
func defaultPort(target *intstr.IntOrString, port int32) {
	if *target == (intstr.IntOrString{}) || *target == intstr.FromString("") {
		*target = intstr.FromInt32(port)
	}
}
