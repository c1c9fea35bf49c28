package kinds

import (
	"reflect"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"optimist/apiserver/registry"
	"optimist/internal/api"
)

// All returns the rules of every stored kind, in the catalogue's order.
func All() []registry.Rules {
	return []registry.Rules{
		namespaceRules(), nodeRules(), podRules(), serviceRules(), endpointsRules(), configMapRules(), secretRules(), eventRules(), serviceAccountRules(),
		persistentVolumeRules(), persistentVolumeClaimRules(), resourceQuotaRules(), limitRangeRules(), podTemplateRules(), replicationControllerRules(),
		deploymentRules(), replicaSetRules(), statefulSetRules(), daemonSetRules(), controllerRevisionRules(), jobRules(), cronJobRules(), autoscalerRules(),
		csrRules(), clusterTrustBundleRules(), podCertificateRequestRules(), leaseRules(), endpointSliceRules(),
		ingressRules(), ingressClassRules(), networkPolicyRules(), ipAddressRules(), serviceCIDRRules(), runtimeClassRules(), podDisruptionBudgetRules(), priorityClassRules(),
		roleRules(), roleBindingRules(), clusterRoleRules(), clusterRoleBindingRules(),
		storageClassRules(), csiDriverRules(), csiNodeRules(), csiStorageCapacityRules(), volumeAttachmentRules(), volumeAttributesClassRules(),
	}
}

// stored are the rules of a kind about which the tables say everything: defaults, faults, and that nothing acts on it. stays is what of an existing
// object must stay; the columns come after the name, and are its age if there are none.
func stored[T api.Object](k *api.Kind, stays func(sub string, o, old T) field.ErrorList, columns ...registry.Column) registry.Rules {
	if len(columns) == 0 {
		columns = []registry.Column{registry.AgeColumn}
	}
	return registry.Rules{Kind: k, Prepare: clearStatus, Validate: validate(stays), Warnings: warnings, Columns: append([]registry.Column{registry.NameColumn}, columns...),
		Default: fillDefaults}
}

func fillDefaults(o api.Object) { defaults.walk(nil, reflect.ValueOf(o)) }

// defaults are what authors may leave out.
var defaults = newTable(podDefaults, coreDefaults, appsDefaults, batchDefaults, hpaDefaults, networkingDefaults, rbacDefaults, storageDefaults, quotaDefaults)

// fixed says that what lies at some paths of a T stays.
func fixed[T api.Object](paths string) func(sub string, o, old T) field.ErrorList {
	all := map[string]func(api.Object) reflect.Value{}
	for _, path := range strings.Fields(paths) {
		all[path] = leaf[T](path)
	}
	return func(sub string, o, old T) (faults field.ErrorList) {
		for path, value := range all {
			if now, before := value(o), value(old); sub == "" {
				faults = append(faults, immutable(field.NewPath(path), whatIs(now), whatIs(before))...)
			}
		}
		return faults
	}
}

// whatIs is a value that may not be there.
func whatIs(v reflect.Value) any {
	if !v.IsValid() {
		return nil
	}
	return v.Interface()
}
