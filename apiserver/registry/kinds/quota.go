package kinds

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"optimist/apiserver/registry"
	"optimist/internal/api"
)

func serviceAccountRules() registry.Rules {
	return stored[*corev1.ServiceAccount](api.ServiceAccountKind, nil)
}

func limitRangeRules() registry.Rules {
	return stored[*corev1.LimitRange](api.LimitRangeKind, nil, createdColumn)
}

func resourceQuotaRules() registry.Rules {
	type quota = corev1.ResourceQuota
	used := func(limits bool) func(*quota) any {
		return func(q *quota) any {
			var all []string
			for _, name := range slices.Sorted(maps.Keys(q.Status.Hard)) {
				if have, hard := q.Status.Used[name], q.Status.Hard[name]; strings.HasPrefix(string(name), "limits.") == limits {
					all = append(all, fmt.Sprintf("%s: %s/%s", name, have.String(), hard.String()))
				}
			}
			return strings.Join(all, ", ")
		}
	}
	return stored(api.ResourceQuotaKind, func(sub string, q, old *quota) field.ErrorList {
		at := field.NewPath("spec", "scopes")
		return immutable(at, slices.Sorted(slices.Values(q.Spec.Scopes)), slices.Sorted(slices.Values(old.Spec.Scopes)))
	}, column("Request", "string", "What is used, of what may be asked for.", used(false)), column("Limit", "string", "What is used, of what limits may sum up to.", used(true)), registry.AgeColumn)
}

func clusterTrustBundleRules() registry.Rules {
	type bundle = certificatesv1.ClusterTrustBundle
	r := stored(api.ClusterTrustBundleKind, fixed[*bundle]("spec.signerName"), shown[*bundle]("SignerName", "spec.signerName", none, "Whose certificates it is for."))
	r.Name = func(name string, _ bool) []string { // signer:path:name
		return validation.IsDNS1123Subdomain(name[strings.LastIndex(name, ":")+1:])
	}
	r.Fields = selectable[*bundle]("spec.signerName")
	return r
}

func podCertificateRequestRules() registry.Rules {
	type request = certificatesv1.PodCertificateRequest
	r := stored(api.PodCertificateRequestKind, fixed[*request]("spec"), shown[*request]("PodName", "spec.podName", "", "For which pod."),
		shown[*request]("ServiceAccountName", "spec.serviceAccountName", "", "As whom it runs."), shown[*request]("NodeName", "spec.nodeName", "", "Where."),
		shown[*request]("SignerName", "spec.signerName", "", "Who is asked to sign."),
		column("State", "string", "What has become of it.", func(r *request) any {
			state := "Pending"
			for _, c := range r.Status.Conditions {
				if slices.Contains([]string{"Issued", "Denied", "Failed"}, c.Type) {
					state = c.Type
				}
			}
			return state
		}))
	r.Columns = append(r.Columns, wide(column("UnverifiedUserAnnotations", "string", "What the pod's author says.", func(r *request) any { return labels.FormatLabels(r.Spec.UnverifiedUserAnnotations) }))...)
	r.Fields = selectable[*request]("spec.signerName spec.podName spec.nodeName")
	return r
}

var quotaDefaults = []rule{
	filled(func(s *corev1.ResourceQuotaSpec) { roundMilli(s.Hard) }),
	filled(func(i *corev1.LimitRangeItem) {
		roundMilli(i.Max, i.Min, i.Default, i.DefaultRequest, i.MaxLimitRequestRatio)
		if i.Type != corev1.LimitTypeContainer {
			return
		}
		for _, l := range []*corev1.ResourceList{&i.Default, &i.DefaultRequest} {
			if *l == nil {
				*l = corev1.ResourceList{}
			}
		}
		all := func(corev1.ResourceName) bool { return true }
		inherit(&i.Default, i.Max, all)
		inherit(&i.DefaultRequest, i.Default, all)
		inherit(&i.DefaultRequest, i.Min, all)
	}),
}

// countable are the kinds that a quota counts by their own name; any is by count/<plural>.<group>.
var countable = strings.Fields("pods services replicationcontrollers resourcequotas secrets configmaps persistentvolumeclaims services.nodeports services.loadbalancers")

var quotaChecks = []rule{
	fields[corev1.ResourceQuotaSpec]("hard", some(func(at *field.Path, l corev1.ResourceList) (faults field.ErrorList) {
		for name, q := range l {
			p, word := at.Key(string(name)), strings.TrimPrefix(strings.TrimPrefix(string(name), "requests."), "limits.")
			counted := slices.Contains(countable, string(name)) || strings.HasPrefix(string(name), "count/")
			standard := counted || podLevel(corev1.ResourceName(word)) || strings.Contains(word, "/") || word == string(corev1.ResourceEphemeralStorage) || string(name) == "requests.storage"
			faults = append(faults, invalid(p, name, validation.IsQualifiedName(string(name)))...)
			faults = append(faults, when(!standard, field.Invalid(p, name, "must be a standard resource for quota"))...)
			faults = append(faults, when(q.Sign() < 0, field.Invalid(p, q.String(), "must be greater than or equal to 0"))...)
			faults = append(faults, when(counted && q.MilliValue()%1000 != 0, field.Invalid(p, q.String(), "must be an integer"))...)
		}
		return faults
	})),
	each(func(at *field.Path, s *corev1.ResourceQuotaSpec) (faults field.ErrorList) {
		scopes := []corev1.ResourceQuotaScope{corev1.ResourceQuotaScopeTerminating, corev1.ResourceQuotaScopeNotTerminating, corev1.ResourceQuotaScopeBestEffort, corev1.ResourceQuotaScopeNotBestEffort,
			corev1.ResourceQuotaScopePriorityClass, corev1.ResourceQuotaScopeCrossNamespacePodAffinity, corev1.ResourceQuotaScopeVolumeAttributesClass}
		at = at.Child("scopes")
		for _, scope := range s.Scopes {
			faults = append(faults, when(!slices.Contains(scopes, scope), field.Invalid(at, s.Scopes, "unsupported scope"))...)
		}
		for _, pair := range [][2]corev1.ResourceQuotaScope{{scopes[0], scopes[1]}, {scopes[2], scopes[3]}} {
			both := slices.Contains(s.Scopes, pair[0]) && slices.Contains(s.Scopes, pair[1])
			faults = append(faults, when(both, field.Invalid(at, s.Scopes, "conflicting scopes"))...)
		}
		return faults
	}),
	fields[corev1.LimitRangeSpec]("limits", distinct("type", func(i corev1.LimitRangeItem) corev1.LimitType { return i.Type })),
	fields[corev1.LimitRangeItem]("type", text(func(name string) []string {
		if strings.Contains(name, "/") || slices.Contains([]corev1.LimitType{corev1.LimitTypePod, corev1.LimitTypeContainer, corev1.LimitTypePersistentVolumeClaim}, corev1.LimitType(name)) {
			return validation.IsQualifiedName(name)
		}
		return []string{"must be a standard limit type or fully qualified"}
	})),
	each(limitsAgree),
	fields[certificatesv1.ClusterTrustBundleSpec]("trustBundle", required()),
}

// limitsAgree: least ≤ default request ≤ default limit ≤ most.
func limitsAgree(at *field.Path, i *corev1.LimitRangeItem) (faults field.ErrorList) {
	less := func(at string, name corev1.ResourceName, low, high corev1.ResourceList, message string) {
		a, have := low[name]
		b, too := high[name]
		faults = append(faults, when(have && too && a.Cmp(b) > 0, field.Invalid(field.NewPath(at).Key(string(name)), a.String(), fmt.Sprintf(message, a.String(), b.String())))...)
	}
	names := map[corev1.ResourceName]bool{}
	for _, l := range []corev1.ResourceList{i.Min, i.Max, i.Default, i.DefaultRequest, i.MaxLimitRequestRatio} {
		for name := range l {
			names[name] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		less(at.Child("min").String(), name, i.Min, i.Max, "min value %s is greater than max value %s")
		if i.Type != corev1.LimitTypePod {
			less(at.Child("defaultRequest").String(), name, i.Min, i.DefaultRequest, "min value %s is greater than default request value %s")
			less(at.Child("defaultRequest").String(), name, i.DefaultRequest, i.Max, "default request value %s is greater than max value %s")
			less(at.Child("defaultRequest").String(), name, i.DefaultRequest, i.Default, "default request value %s is greater than default limit value %s")
			less(at.Child("default").String(), name, i.Min, i.Default, "min value %s is greater than default value %s")
			less(at.Child("default").String(), name, i.Default, i.Max, "default value %s is greater than max value %s")
		}
		ratio, limited := i.MaxLimitRequestRatio[name]
		faults = append(faults, when(limited && ratio.Cmp(*resource.NewQuantity(1, resource.DecimalSI)) < 0, field.Invalid(at.Child("maxLimitRequestRatio").Key(string(name)), ratio.String(), "ratio "+ratio.String()+" is less than 1"))...)
	}
	for list, l := range map[string]corev1.ResourceList{"default": i.Default, "defaultRequest": i.DefaultRequest} {
		faults = append(faults, when(i.Type == corev1.LimitTypePod && len(l) > 0, field.Forbidden(at.Child(list), "may not be specified when `type` is 'Pod'"))...)
	}
	_, least := i.Min[corev1.ResourceStorage]
	_, most := i.Max[corev1.ResourceStorage]
	return append(faults, when(i.Type == corev1.LimitTypePersistentVolumeClaim && !least && !most, field.Required(at.Child("limits"), "either minimum or maximum storage value is required, but neither was provided"))...)
}
