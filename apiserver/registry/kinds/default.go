package kinds

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
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

// filled makes a rule of what is filled into a T.
func filled[T any](f func(x *T)) rule {
	return each(func(_ *field.Path, x *T) field.ErrorList { f(x); return nil })
}

const fileModeDefault int32 = 0o644

// podDefaults are filled into pods and templates. The last ones are for storage that lives in clouds and clusters of its own.
var podDefaults = []rule{
	filled(func(s *corev1.PodSpec) {
		fill(&s.DNSPolicy, corev1.DNSClusterFirst)
		fill(&s.RestartPolicy, corev1.RestartPolicyAlways)
		fill(&s.SchedulerName, corev1.DefaultSchedulerName)
		fillPtr(&s.SecurityContext, corev1.PodSecurityContext{})
		fillPtr(&s.TerminationGracePeriodSeconds, int64(corev1.DefaultTerminationGracePeriodSeconds))
		// serviceAccount is the old name of serviceAccountName; both always say the same.
		fill(&s.ServiceAccountName, s.DeprecatedServiceAccount)
		s.DeprecatedServiceAccount = s.ServiceAccountName
		roundMilli(s.Overhead)
	}),
	filled(func(c *corev1.Container) {
		fill(&c.ImagePullPolicy, pullPolicyFor(c.Image))
		fill(&c.TerminationMessagePath, corev1.TerminationMessagePathDefault)
		fill(&c.TerminationMessagePolicy, corev1.TerminationMessageReadFile)
	}),
	filled(func(p *corev1.ContainerPort) { fill(&p.Protocol, corev1.ProtocolTCP) }),
	filled(func(r *corev1.ResourceRequirements) { roundMilli(r.Limits, r.Requests) }),
	filled(func(p *corev1.Probe) {
		fill(&p.TimeoutSeconds, 1)
		fill(&p.PeriodSeconds, 10)
		fill(&p.SuccessThreshold, 1)
		fill(&p.FailureThreshold, 3)
	}),
	filled(func(h *corev1.HTTPGetAction) { fill(&h.Path, "/"); fill(&h.Scheme, corev1.URISchemeHTTP) }),
	filled(func(g *corev1.GRPCAction) { fillPtr(&g.Service, "") }),
	filled(func(r *corev1.ObjectFieldSelector) { fill(&r.APIVersion, "v1") }),
	filled(func(r *corev1.FileKeySelector) { fillPtr(&r.Optional, false) }),
	filled(func(v *corev1.Volume) {
		if v.VolumeSource == (corev1.VolumeSource{}) {
			v.EmptyDir = &corev1.EmptyDirVolumeSource{}
		}
	}),
	filled(func(s *corev1.HostPathVolumeSource) { fillPtr(&s.Type, corev1.HostPathUnset) }),
	filled(func(s *corev1.SecretVolumeSource) { fillPtr(&s.DefaultMode, fileModeDefault) }),
	filled(func(s *corev1.ConfigMapVolumeSource) { fillPtr(&s.DefaultMode, fileModeDefault) }),
	filled(func(s *corev1.DownwardAPIVolumeSource) { fillPtr(&s.DefaultMode, fileModeDefault) }),
	filled(func(s *corev1.ProjectedVolumeSource) { fillPtr(&s.DefaultMode, fileModeDefault) }),
	filled(func(t *corev1.ServiceAccountTokenProjection) { fillPtr(&t.ExpirationSeconds, 3600) }),
	filled(func(s *corev1.ImageVolumeSource) { fill(&s.PullPolicy, pullPolicyFor(s.Reference)) }),
	filled(func(t *corev1.PersistentVolumeClaimTemplate) {
		fillPtr(&t.Spec.VolumeMode, corev1.PersistentVolumeFilesystem)
	}),
	filled(func(s *corev1.ISCSIVolumeSource) { fill(&s.ISCSIInterface, "default") }),
	filled(func(s *corev1.RBDVolumeSource) {
		fill(&s.RBDPool, "rbd")
		fill(&s.RadosUser, "admin")
		fill(&s.Keyring, "/etc/ceph/keyring")
	}),
	filled(func(s *corev1.AzureDiskVolumeSource) {
		fillPtr(&s.CachingMode, corev1.AzureDataDiskCachingReadWrite)
		fillPtr(&s.Kind, corev1.AzureSharedBlobDisk)
		fillPtr(&s.FSType, "ext4")
		fillPtr(&s.ReadOnly, false)
	}),
	filled(func(s *corev1.ScaleIOVolumeSource) { fill(&s.StorageMode, "ThinProvisioned"); fill(&s.FSType, "xfs") }),
}

// coreDefaults are filled into what has no table of its own.
var coreDefaults = []rule{
	filled(defaultNamespace), filled(defaultNode), filled(defaultSecret), filled(defaultService),
	filled(func(c *schedulingv1.PriorityClass) { fillPtr(&c.PreemptionPolicy, corev1.PreemptLowerPriority) }),
	filled(func(p *corev1.EndpointPort) { fill(&p.Protocol, corev1.ProtocolTCP) }),
	filled(func(p *discoveryv1.EndpointPort) { fillPtr(&p.Name, ""); fillPtr(&p.Protocol, corev1.ProtocolTCP) }),
}

// defaultPod adds what Kubernetes fills in for pods but not for templates: a template must stay as it was written, so that its hash does not
// change when defaults are added.
func defaultPod(p *corev1.Pod) {
	fillDefaults(p)
	fillPtr(&p.Spec.EnableServiceLinks, true)
	eachContainer(&p.Spec, func(c *corev1.Container) {
		inherit(&c.Resources.Requests, c.Resources.Limits, func(corev1.ResourceName) bool { return true })
		for i := range c.Ports {
			if p.Spec.HostNetwork { // there a container's port is the host's
				fill(&c.Ports[i].HostPort, c.Ports[i].ContainerPort)
			}
		}
	})
	// What is asked for a pod as a whole is what its containers ask for together, else what limits it.
	if r := p.Spec.Resources; r != nil && len(r.Requests)+len(r.Limits) > 0 {
		inherit(&r.Requests, sumRequests(&p.Spec), podLevel)
		inherit(&r.Requests, r.Limits, func(corev1.ResourceName) bool { return true })
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

// pullPolicyFor looks at the tag: what may move is fetched each time. No tag at all means latest.
func pullPolicyFor(image string) corev1.PullPolicy {
	name, _, digested := strings.Cut(image, "@")
	_, tag, tagged := strings.Cut(name[strings.LastIndex(name, "/")+1:], ":")
	if tag == "latest" || !tagged && !digested {
		return corev1.PullAlways
	}
	return corev1.PullIfNotPresent
}

// roundMilli: amounts are kept to a thousandth, rounded up.
func roundMilli(lists ...corev1.ResourceList) {
	for _, l := range lists {
		for name, q := range l {
			q.RoundUp(resource.Milli)
			l[name] = q
		}
	}
}

// inherit copies amounts that a list does not have.
func inherit(to *corev1.ResourceList, from corev1.ResourceList, which func(corev1.ResourceName) bool) {
	for name, q := range from {
		if _, have := (*to)[name]; have || !which(name) {
			continue
		}
		if *to == nil {
			*to = corev1.ResourceList{}
		}
		(*to)[name] = q.DeepCopy()
	}
}

// sumRequests is what a pod's containers need at the same time. Init containers run one after another before the others, so that only
// the hungriest counts; sidecars (restartPolicy Always) start among them and stay.
func sumRequests(s *corev1.PodSpec) corev1.ResourceList {
	running, peak := corev1.ResourceList{}, corev1.ResourceList{}
	for i := range s.InitContainers {
		c := &s.InitContainers[i]
		now := running.DeepCopy()
		add(now, c.Resources.Requests)
		raise(peak, now)
		if isSidecar(c) {
			running = now
		}
	}
	for i := range s.Containers {
		add(running, s.Containers[i].Resources.Requests)
	}
	raise(running, peak)
	return running
}

func isSidecar(c *corev1.Container) bool {
	return deref(c.RestartPolicy) == corev1.ContainerRestartPolicyAlways
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

func isHugePage(name corev1.ResourceName) bool {
	return strings.HasPrefix(string(name), corev1.ResourceHugePagesPrefix)
}

// isNative: names without a domain, or of kubernetes.io.
func isNative(name corev1.ResourceName) bool {
	return !strings.Contains(string(name), "/") || strings.Contains(string(name), corev1.ResourceDefaultNamespacePrefix)
}

// isExtended: names of somebody's own domain, counted in whole pieces: nvidia.com/gpu.
func isExtended(name corev1.ResourceName) bool {
	return !isNative(name) && !strings.HasPrefix(string(name), corev1.DefaultResourceRequestsPrefix) &&
		len(validation.IsQualifiedName(corev1.DefaultResourceRequestsPrefix+string(name))) == 0
}

// overcommits: of these a node may promise more than it has; a limit may exceed the request.
func overcommits(name corev1.ResourceName) bool { return isNative(name) && !isHugePage(name) }

// podLevel reports whether an amount can be set for a pod as a whole.
func podLevel(name corev1.ResourceName) bool {
	return name == corev1.ResourceCPU || name == corev1.ResourceMemory || isHugePage(name)
}

func resourceAmounts(at *field.Path, l corev1.ResourceList) (faults field.ErrorList) {
	for name, q := range l {
		p := at.Key(string(name))
		bad := invalid(p, name, validation.IsQualifiedName(string(name)))
		if len(bad) == 0 {
			standard := podLevel(name) || name == corev1.ResourceEphemeralStorage || strings.Contains(string(name), "/")
			bad = append(when(!standard, field.Invalid(p, name, "must be a standard resource for containers")),
				when(!isNative(name) && !isExtended(name), field.Invalid(p, name, "doesn't follow extended resource name standard"))...)
		}
		faults = append(append(faults, bad...), amount(p, name, q)...)
	}
	return faults
}

func amount(at *field.Path, name corev1.ResourceName, q resource.Quantity) field.ErrorList {
	return append(when(q.Sign() < 0, field.Invalid(at, q.String(), apivalidation.IsNegativeErrorMsg)),
		when((isExtended(name) || isHugePage(name)) && q.MilliValue()%1000 != 0, field.Invalid(at, q.String(), "must be an integer"))...)
}

// requestsWithinLimits also refuses huge pages alone: such a container could not be placed or billed.
func requestsWithinLimits(at *field.Path, r *corev1.ResourceRequirements) (faults field.ErrorList) {
	requests, huge, ordinary := at.Child("requests"), false, false
	for name, asked := range r.Requests {
		switch limit, limited := r.Limits[name]; {
		case !limited:
			faults = append(faults, when(!overcommits(name), field.Required(at.Child("limits"), "Limit must be set for non overcommitable resources"))...)
		case overcommits(name):
			faults = append(faults, when(asked.Cmp(limit) > 0, field.Invalid(requests, asked.String(), fmt.Sprintf("must be less than or equal to %s limit of %s", name, limit.String())))...)
		default:
			faults = append(faults, when(asked.Cmp(limit) != 0, field.Invalid(requests, asked.String(), fmt.Sprintf("must be equal to %s limit of %s", name, limit.String())))...)
		}
	}
	for _, l := range []corev1.ResourceList{r.Limits, r.Requests} {
		for name := range l {
			huge, ordinary = huge || isHugePage(name), ordinary || podLevel(name) && !isHugePage(name)
		}
	}
	return append(faults, when(huge && !ordinary, field.Forbidden(at, "HugePages require cpu or memory"))...)
}

func podResources(at *field.Path, s *corev1.PodSpec) (faults field.ErrorList) {
	for list, l := range map[string]corev1.ResourceList{"limits": deref(s.Resources).Limits, "requests": deref(s.Resources).Requests} {
		for name := range l {
			faults = append(faults, when(!podLevel(name), field.NotSupported(at.Child("resources", list).Key(string(name)), name, []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory}))...)
		}
	}
	return faults
}
