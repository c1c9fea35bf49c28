package api

import (
	"reflect"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	eventsv1 "k8s.io/api/events/v1"
	networkingv1 "k8s.io/api/networking/v1"
	nodev1 "k8s.io/api/node/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// row makes the row of a kind that has one version, v1. names are its plural and its short names; traits where it lives (a namespace or the cluster),
// whether it belongs to the category "all", and whether it is a question that is only asked (create) and kept nowhere; subs its subresources.
func row[T any, P interface {
	*T
	Object
}](group, names, traits, subs string) *Kind {
	called, name, is := strings.Fields(names), reflect.TypeFor[T]().Name(), strings.Fields(traits)
	k := &Kind{Group: group, Name: name, Plural: called[0], Singular: strings.ToLower(name), Short: called[1:], Subs: strings.Fields(subs),
		Namespaced: is[0] == "namespace", Versions: []Version{{Name: "v1", New: func() Object { return P(new(T)) }}}}
	if slices.Contains(is, "all") {
		k.Categories = []string{"all"}
	}
	if slices.Contains(is, "question") {
		k.Virtual, k.Verbs = true, []Verb{VerbCreate}
	}
	return k
}

// The kinds that this version knows: all of Kubernetes v1.37's stable API but admission, API machinery and devices.
var (
	NamespaceKind             = row[corev1.Namespace]("", "namespaces ns", "cluster", "status finalize")
	NodeKind                  = row[corev1.Node]("", "nodes no", "cluster", "status log images proxy")
	PodKind                   = row[corev1.Pod]("", "pods po", "namespace all", "status binding eviction ephemeralcontainers resize log exec attach portforward proxy")
	ServiceKind               = row[corev1.Service]("", "services svc", "namespace all", "status proxy")
	EndpointsKind             = row[corev1.Endpoints]("", "endpoints ep", "namespace", "")
	ConfigMapKind             = row[corev1.ConfigMap]("", "configmaps cm", "namespace", "")
	SecretKind                = row[corev1.Secret]("", "secrets", "namespace", "")
	EventKind                 = row[corev1.Event]("", "events ev", "namespace", "")
	ServiceAccountKind        = row[corev1.ServiceAccount]("", "serviceaccounts sa", "namespace", "token")
	PersistentVolumeKind      = row[corev1.PersistentVolume]("", "persistentvolumes pv", "cluster", "status")
	PersistentVolumeClaimKind = row[corev1.PersistentVolumeClaim]("", "persistentvolumeclaims pvc", "namespace", "status")
	ResourceQuotaKind         = row[corev1.ResourceQuota]("", "resourcequotas quota", "namespace", "status")
	LimitRangeKind            = row[corev1.LimitRange]("", "limitranges limits", "namespace", "")
	PodTemplateKind           = row[corev1.PodTemplate]("", "podtemplates", "namespace", "")
	ReplicationControllerKind = row[corev1.ReplicationController]("", "replicationcontrollers rc", "namespace all", "status scale")
	// ComponentStatusKind names the cluster's own processes (apiserver, scheduler, controllers); one can only Connect to them.
	ComponentStatusKind = &Kind{Name: "ComponentStatus", Plural: "componentstatuses", Singular: "componentstatus", Short: []string{"cs"}, Virtual: true, Verbs: []Verb{},
		Versions: []Version{{Name: "v1", New: func() Object { return &corev1.ComponentStatus{} }}}, Subs: []string{"log", "decisions", "journal", "explain", "encryption"}}

	DeploymentKind         = row[appsv1.Deployment]("apps", "deployments deploy", "namespace all", "status scale")
	ReplicaSetKind         = row[appsv1.ReplicaSet]("apps", "replicasets rs", "namespace all", "status scale")
	StatefulSetKind        = row[appsv1.StatefulSet]("apps", "statefulsets sts", "namespace all", "status scale")
	DaemonSetKind          = row[appsv1.DaemonSet]("apps", "daemonsets ds", "namespace all", "status")
	ControllerRevisionKind = row[appsv1.ControllerRevision]("apps", "controllerrevisions", "namespace", "")
	JobKind                = row[batchv1.Job]("batch", "jobs", "namespace all", "status")
	CronJobKind            = row[batchv1.CronJob]("batch", "cronjobs cj", "namespace all", "status")

	// HorizontalPodAutoscalerKind is stored as autoscaling/v2; what v1 cannot say stands in annotations there.
	HorizontalPodAutoscalerKind = &Kind{Group: "autoscaling", Name: "HorizontalPodAutoscaler", Plural: "horizontalpodautoscalers", Singular: "horizontalpodautoscaler",
		Short: []string{"hpa"}, Categories: []string{"all"}, Namespaced: true, Subs: []string{"status"}, Versions: []Version{
			{Name: "v2", New: func() Object { return &autoscalingv2.HorizontalPodAutoscaler{} }},
			{Name: "v1", New: func() Object { return &autoscalingv1.HorizontalPodAutoscaler{} }, FromStored: oldAutoscaler, ToStored: newAutoscaler}}}

	CertificateSigningRequestKind = row[certificatesv1.CertificateSigningRequest]("certificates.k8s.io", "certificatesigningrequests csr", "cluster", "status approval")
	ClusterTrustBundleKind        = row[certificatesv1.ClusterTrustBundle]("certificates.k8s.io", "clustertrustbundles", "cluster", "")
	PodCertificateRequestKind     = row[certificatesv1.PodCertificateRequest]("certificates.k8s.io", "podcertificaterequests", "namespace", "status")
	LeaseKind                     = row[coordinationv1.Lease]("coordination.k8s.io", "leases", "namespace", "")
	EndpointSliceKind             = row[discoveryv1.EndpointSlice]("discovery.k8s.io", "endpointslices", "namespace", "")
	// NewEventKind is the form of an Event in events.k8s.io: the same objects under other names.
	NewEventKind = &Kind{Group: "events.k8s.io", Name: "Event", Plural: "events", Singular: "event", Short: []string{"ev"}, Namespaced: true, Stored: EventKind,
		Versions: []Version{{Name: "v1", New: func() Object { return &eventsv1.Event{} }, FromStored: newEvent, ToStored: oldEvent}}}

	IngressKind             = row[networkingv1.Ingress]("networking.k8s.io", "ingresses ing", "namespace", "status")
	IngressClassKind        = row[networkingv1.IngressClass]("networking.k8s.io", "ingressclasses", "cluster", "")
	NetworkPolicyKind       = row[networkingv1.NetworkPolicy]("networking.k8s.io", "networkpolicies netpol", "namespace", "")
	IPAddressKind           = row[networkingv1.IPAddress]("networking.k8s.io", "ipaddresses ip", "cluster", "")
	ServiceCIDRKind         = row[networkingv1.ServiceCIDR]("networking.k8s.io", "servicecidrs", "cluster", "status")
	RuntimeClassKind        = row[nodev1.RuntimeClass]("node.k8s.io", "runtimeclasses", "cluster", "")
	PodDisruptionBudgetKind = row[policyv1.PodDisruptionBudget]("policy", "poddisruptionbudgets pdb", "namespace", "status")
	PriorityClassKind       = row[schedulingv1.PriorityClass]("scheduling.k8s.io", "priorityclasses pc", "cluster", "")

	RoleKind               = row[rbacv1.Role]("rbac.authorization.k8s.io", "roles", "namespace", "")
	RoleBindingKind        = row[rbacv1.RoleBinding]("rbac.authorization.k8s.io", "rolebindings", "namespace", "")
	ClusterRoleKind        = row[rbacv1.ClusterRole]("rbac.authorization.k8s.io", "clusterroles", "cluster", "")
	ClusterRoleBindingKind = row[rbacv1.ClusterRoleBinding]("rbac.authorization.k8s.io", "clusterrolebindings", "cluster", "")

	StorageClassKind          = row[storagev1.StorageClass]("storage.k8s.io", "storageclasses sc", "cluster", "")
	CSIDriverKind             = row[storagev1.CSIDriver]("storage.k8s.io", "csidrivers", "cluster", "")
	CSINodeKind               = row[storagev1.CSINode]("storage.k8s.io", "csinodes", "cluster", "")
	CSIStorageCapacityKind    = row[storagev1.CSIStorageCapacity]("storage.k8s.io", "csistoragecapacities", "namespace", "")
	VolumeAttachmentKind      = row[storagev1.VolumeAttachment]("storage.k8s.io", "volumeattachments", "cluster", "status")
	VolumeAttributesClassKind = row[storagev1.VolumeAttributesClass]("storage.k8s.io", "volumeattributesclasses vac", "cluster", "")

	// What follows is asked, and answered before it reaches the registry.
	TokenReviewKind              = row[authenticationv1.TokenReview]("authentication.k8s.io", "tokenreviews", "cluster question", "")
	SelfSubjectReviewKind        = row[authenticationv1.SelfSubjectReview]("authentication.k8s.io", "selfsubjectreviews", "cluster question", "")
	SubjectAccessReviewKind      = row[authorizationv1.SubjectAccessReview]("authorization.k8s.io", "subjectaccessreviews", "cluster question", "")
	SelfSubjectAccessReviewKind  = row[authorizationv1.SelfSubjectAccessReview]("authorization.k8s.io", "selfsubjectaccessreviews", "cluster question", "")
	LocalSubjectAccessReviewKind = row[authorizationv1.LocalSubjectAccessReview]("authorization.k8s.io", "localsubjectaccessreviews", "namespace question", "")
	SelfSubjectRulesReviewKind   = row[authorizationv1.SelfSubjectRulesReview]("authorization.k8s.io", "selfsubjectrulesreviews", "cluster question", "")
)

// Builtin is the catalogue of the kinds above.
var Builtin = NewCatalogue(
	NamespaceKind, NodeKind, PodKind, ServiceKind, EndpointsKind, ConfigMapKind, SecretKind, EventKind, ServiceAccountKind, PersistentVolumeKind,
	PersistentVolumeClaimKind, ResourceQuotaKind, LimitRangeKind, PodTemplateKind, ReplicationControllerKind,
	DeploymentKind, ReplicaSetKind, StatefulSetKind, DaemonSetKind, ControllerRevisionKind, JobKind, CronJobKind, HorizontalPodAutoscalerKind,
	CertificateSigningRequestKind, ClusterTrustBundleKind, PodCertificateRequestKind, LeaseKind, EndpointSliceKind, NewEventKind,
	IngressKind, IngressClassKind, NetworkPolicyKind, IPAddressKind, ServiceCIDRKind, RuntimeClassKind, PodDisruptionBudgetKind, PriorityClassKind,
	RoleKind, RoleBindingKind, ClusterRoleKind, ClusterRoleBindingKind,
	StorageClassKind, CSIDriverKind, CSINodeKind, CSIStorageCapacityKind, VolumeAttachmentKind, VolumeAttributesClassKind,
	TokenReviewKind, SelfSubjectReviewKind, SubjectAccessReviewKind, SelfSubjectAccessReviewKind, LocalSubjectAccessReviewKind, SelfSubjectRulesReviewKind,
	ComponentStatusKind)

// SubBody is what a subresource's body is, where it is not the object itself. That of "proxy" is named after the kind: NodeProxyOptions.
var SubBody = map[string]schema.GroupVersionKind{
	"scale":       {Group: "autoscaling", Version: "v1", Kind: "Scale"},
	"binding":     {Version: "v1", Kind: "Binding"},
	"eviction":    {Group: "policy", Version: "v1", Kind: "Eviction"},
	"token":       {Group: "authentication.k8s.io", Version: "v1", Kind: "TokenRequest"},
	"exec":        {Version: "v1", Kind: "PodExecOptions"},
	"attach":      {Version: "v1", Kind: "PodAttachOptions"},
	"portforward": {Version: "v1", Kind: "PodPortForwardOptions"},
	"proxy":       {Version: "v1", Kind: "PodProxyOptions"},
}

var readWrite = []Verb{VerbGet, VerbPatch, VerbUpdate}

// SubVerbs are what can be done to a subresource; what is missing here Kubernetes does not have.
var SubVerbs = map[string][]Verb{
	"status": readWrite, "scale": readWrite, "approval": readWrite, "ephemeralcontainers": readWrite, "resize": readWrite,
	"finalize": {VerbUpdate}, "binding": {VerbCreate}, "eviction": {VerbCreate}, "token": {VerbCreate}, "log": {VerbGet},
	"exec": {VerbCreate, VerbGet}, "attach": {VerbCreate, VerbGet}, "portforward": {VerbCreate, VerbGet},
	"proxy": {VerbCreate, VerbDelete, VerbGet, VerbPatch, VerbUpdate},
}

// Waiting are the kinds that wait for a version with somebody who acts on them. Whoever writes one is told so once, not for each field.
var Waiting = []*Kind{PersistentVolumeKind, PersistentVolumeClaimKind, ResourceQuotaKind, LimitRangeKind, PodTemplateKind,
	ReplicationControllerKind, StatefulSetKind, DaemonSetKind, ControllerRevisionKind, JobKind, CronJobKind, HorizontalPodAutoscalerKind,
	ClusterTrustBundleKind, PodCertificateRequestKind, IngressKind, IngressClassKind, NetworkPolicyKind, IPAddressKind, ServiceCIDRKind,
	RuntimeClassKind, PodDisruptionBudgetKind, StorageClassKind, CSIDriverKind, CSINodeKind, CSIStorageCapacityKind, VolumeAttachmentKind,
	VolumeAttributesClassKind}

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
	ServiceAccounts            = Of[*corev1.ServiceAccount]{ServiceAccountKind}
	Deployments                = Of[*appsv1.Deployment]{DeploymentKind}
	ReplicaSets                = Of[*appsv1.ReplicaSet]{ReplicaSetKind}
	CertificateSigningRequests = Of[*certificatesv1.CertificateSigningRequest]{CertificateSigningRequestKind}
	Leases                     = Of[*coordinationv1.Lease]{LeaseKind}
	EndpointSlices             = Of[*discoveryv1.EndpointSlice]{EndpointSliceKind}
	PriorityClasses            = Of[*schedulingv1.PriorityClass]{PriorityClassKind}
	Roles                      = Of[*rbacv1.Role]{RoleKind}
	RoleBindings               = Of[*rbacv1.RoleBinding]{RoleBindingKind}
	ClusterRoles               = Of[*rbacv1.ClusterRole]{ClusterRoleKind}
	ClusterRoleBindings        = Of[*rbacv1.ClusterRoleBinding]{ClusterRoleBindingKind}
	TokenReviews               = Of[*authenticationv1.TokenReview]{TokenReviewKind}
	SelfSubjectReviews         = Of[*authenticationv1.SelfSubjectReview]{SelfSubjectReviewKind}
	SubjectAccessReviews       = Of[*authorizationv1.SubjectAccessReview]{SubjectAccessReviewKind}
	SelfSubjectAccessReviews   = Of[*authorizationv1.SelfSubjectAccessReview]{SelfSubjectAccessReviewKind}
	LocalSubjectAccessReviews  = Of[*authorizationv1.LocalSubjectAccessReview]{LocalSubjectAccessReviewKind}
	SelfSubjectRulesReviews    = Of[*authorizationv1.SelfSubjectRulesReview]{SelfSubjectRulesReviewKind}
)
