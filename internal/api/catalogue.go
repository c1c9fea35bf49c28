package api

import (
	appsv1 "k8s.io/api/apps/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
)

func v1[T any, P interface {
	*T
	Object
}]() []Version {
	return []Version{{Name: "v1", New: func() Object { return P(new(T)) }}}
}

// The kinds that this version knows.
var (
	NamespaceKind = &Kind{Name: "Namespace", Plural: "namespaces", Singular: "namespace", Short: []string{"ns"},
		Versions: v1[corev1.Namespace](), Subs: []string{"status", "finalize"}}
	NodeKind = &Kind{Name: "Node", Plural: "nodes", Singular: "node", Short: []string{"no"},
		Versions: v1[corev1.Node](), Subs: []string{"status", "log", "images", "proxy"}}
	PodKind = &Kind{Name: "Pod", Plural: "pods", Singular: "pod", Short: []string{"po"}, Categories: []string{"all"}, Namespaced: true,
		Versions: v1[corev1.Pod](), Subs: []string{"status", "binding", "log", "exec", "attach", "portforward", "proxy"}}
	ServiceKind = &Kind{Name: "Service", Plural: "services", Singular: "service", Short: []string{"svc"}, Categories: []string{"all"}, Namespaced: true,
		Versions: v1[corev1.Service](), Subs: []string{"status", "proxy"}}
	EndpointsKind = &Kind{Name: "Endpoints", Plural: "endpoints", Singular: "endpoints", Short: []string{"ep"}, Namespaced: true,
		Versions: v1[corev1.Endpoints]()}
	ConfigMapKind = &Kind{Name: "ConfigMap", Plural: "configmaps", Singular: "configmap", Short: []string{"cm"}, Namespaced: true,
		Versions: v1[corev1.ConfigMap]()}
	SecretKind = &Kind{Name: "Secret", Plural: "secrets", Singular: "secret", Namespaced: true,
		Versions: v1[corev1.Secret]()}
	EventKind = &Kind{Name: "Event", Plural: "events", Singular: "event", Short: []string{"ev"}, Namespaced: true,
		Versions: v1[corev1.Event]()}
	DeploymentKind = &Kind{Group: "apps", Name: "Deployment", Plural: "deployments", Singular: "deployment", Short: []string{"deploy"}, Categories: []string{"all"}, Namespaced: true,
		Versions: v1[appsv1.Deployment](), Subs: []string{"status", "scale"}}
	ReplicaSetKind = &Kind{Group: "apps", Name: "ReplicaSet", Plural: "replicasets", Singular: "replicaset", Short: []string{"rs"}, Categories: []string{"all"}, Namespaced: true,
		Versions: v1[appsv1.ReplicaSet](), Subs: []string{"status", "scale"}}
	CertificateSigningRequestKind = &Kind{Group: "certificates.k8s.io", Name: "CertificateSigningRequest", Plural: "certificatesigningrequests", Singular: "certificatesigningrequest",
		Short: []string{"csr"}, Versions: v1[certificatesv1.CertificateSigningRequest](), Subs: []string{"status", "approval"}}
	LeaseKind = &Kind{Group: "coordination.k8s.io", Name: "Lease", Plural: "leases", Singular: "lease", Namespaced: true,
		Versions: v1[coordinationv1.Lease]()}
	EndpointSliceKind = &Kind{Group: "discovery.k8s.io", Name: "EndpointSlice", Plural: "endpointslices", Singular: "endpointslice", Namespaced: true,
		Versions: v1[discoveryv1.EndpointSlice]()}
	PriorityClassKind = &Kind{Group: "scheduling.k8s.io", Name: "PriorityClass", Plural: "priorityclasses", Singular: "priorityclass", Short: []string{"pc"},
		Versions: v1[schedulingv1.PriorityClass]()}
	// ComponentStatusKind names the cluster's own processes (apiserver, scheduler, controllers); one can only Connect to them.
	ComponentStatusKind = &Kind{Name: "ComponentStatus", Plural: "componentstatuses", Singular: "componentstatus", Short: []string{"cs"}, Virtual: true,
		Versions: v1[corev1.ComponentStatus](), Subs: []string{"log", "decisions", "journal", "explain"}}
)

// Builtin is the catalogue of the kinds above.
var Builtin = NewCatalogue(NamespaceKind, NodeKind, PodKind, ServiceKind, EndpointsKind, ConfigMapKind, SecretKind, EventKind,
	DeploymentKind, ReplicaSetKind, CertificateSigningRequestKind, LeaseKind, EndpointSliceKind, PriorityClassKind, ComponentStatusKind)

// Typed access, one a kind.
var (
	Namespaces                 = Of[*corev1.Namespace]{NamespaceKind}
	Nodes                      = Of[*corev1.Node]{NodeKind}
	Pods                       = Of[*corev1.Pod]{PodKind}
	Services                   = Of[*corev1.Service]{ServiceKind}
	Endpoints                  = Of[*corev1.Endpoints]{EndpointsKind}
	ConfigMaps                 = Of[*corev1.ConfigMap]{ConfigMapKind}
	Secrets                    = Of[*corev1.Secret]{SecretKind}
	Events                     = Of[*corev1.Event]{EventKind}
	Deployments                = Of[*appsv1.Deployment]{DeploymentKind}
	ReplicaSets                = Of[*appsv1.ReplicaSet]{ReplicaSetKind}
	CertificateSigningRequests = Of[*certificatesv1.CertificateSigningRequest]{CertificateSigningRequestKind}
	Leases                     = Of[*coordinationv1.Lease]{LeaseKind}
	EndpointSlices             = Of[*discoveryv1.EndpointSlice]{EndpointSliceKind}
	PriorityClasses            = Of[*schedulingv1.PriorityClass]{PriorityClassKind}
)
