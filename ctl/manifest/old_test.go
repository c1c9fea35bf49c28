package manifest

import (
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"optimist/internal/api"
)

func TestOldVersionsAreRewritten(t *testing.T) {
	for _, c := range []struct{ name, old, want, warning string }{
		{"a CronJob changes its version alone", "{apiVersion: batch/v1beta1, kind: CronJob, metadata: {name: a}, spec: {schedule: x}}",
			"{apiVersion: batch/v1, kind: CronJob, metadata: {name: a}, spec: {schedule: x}}",
			"batch/v1beta1 CronJob is deprecated in v1.21+, unavailable in v1.25+; use batch/v1 CronJob"},
		{"an Ingress has its Services one level deeper, and keeps the annotation of its class",
			"{apiVersion: extensions/v1beta1, kind: Ingress, metadata: {name: a, annotations: {kubernetes.io/ingress.class: nginx}}, spec: {backend: {serviceName: d, servicePort: 80}, rules: [{http: {paths: " +
				"[{path: /, backend: {serviceName: w, servicePort: http}}, {pathType: Exact, backend: {resource: {kind: B, name: b}}}]}}]}}",
			"{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: a, annotations: {kubernetes.io/ingress.class: nginx}}, spec: {defaultBackend: {service: {name: d, port: {number: 80}}}, rules: [{http: {paths: " +
				"[{path: /, pathType: ImplementationSpecific, backend: {service: {name: w, port: {name: http}}}}, {pathType: Exact, backend: {resource: {kind: B, name: b}}}]}}]}}",
			"extensions/v1beta1 Ingress is deprecated in v1.14+, unavailable in v1.22+; use networking.k8s.io/v1 Ingress"},
		{"a Deployment gets the selector that its pods' labels were", "{apiVersion: extensions/v1beta1, kind: Deployment, spec: {rollbackTo: {revision: 1}, template: {metadata: {labels: {app: a}}}}}",
			"{apiVersion: apps/v1, kind: Deployment, spec: {selector: {matchLabels: {app: a}}, template: {metadata: {labels: {app: a}}}}}",
			"extensions/v1beta1 Deployment is deprecated in v1.8+, unavailable in v1.16+; use apps/v1 Deployment"},
		{"a selector that is there stays", "{apiVersion: apps/v1beta2, kind: ReplicaSet, spec: {selector: {matchLabels: {b: c}}, template: {metadata: {labels: {app: a}}}}}",
			"{apiVersion: apps/v1, kind: ReplicaSet, spec: {selector: {matchLabels: {b: c}}, template: {metadata: {labels: {app: a}}}}}",
			"apps/v1beta2 ReplicaSet is deprecated in v1.9+, unavailable in v1.16+; use apps/v1 ReplicaSet"},
		{"a DaemonSet used to wait for its pods to be deleted", "{apiVersion: extensions/v1beta1, kind: DaemonSet, spec: {templateGeneration: 2, template: {metadata: {labels: {app: a}}}}}",
			"{apiVersion: apps/v1, kind: DaemonSet, spec: {selector: {matchLabels: {app: a}}, updateStrategy: {type: OnDelete}, template: {metadata: {labels: {app: a}}}}}",
			"extensions/v1beta1 DaemonSet is deprecated in v1.8+, unavailable in v1.16+; use apps/v1 DaemonSet"},
		{"metrics have a target of their own", "{apiVersion: autoscaling/v2beta1, kind: HorizontalPodAutoscaler, spec: {metrics: [{type: Resource, resource: {name: cpu, targetAverageUtilization: 80}}, " +
			"{type: Pods, pods: {metricName: rps, targetAverageValue: 1k}}, {type: Object, object: {target: {kind: Service, name: s}, metricName: q, targetValue: 2}}, " +
			"{type: External, external: {metricName: x, metricSelector: {matchLabels: {a: b}}, targetValue: 3}}]}}",
			"{apiVersion: autoscaling/v2, kind: HorizontalPodAutoscaler, spec: {metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 80}}}, " +
				"{type: Pods, pods: {metric: {name: rps}, target: {type: AverageValue, averageValue: 1k}}}, {type: Object, object: {describedObject: {kind: Service, name: s}, metric: {name: q}, target: {type: Value, value: 2}}}, " +
				"{type: External, external: {metric: {name: x, selector: {matchLabels: {a: b}}}, target: {type: Value, value: 3}}}]}}",
			"autoscaling/v2beta1 HorizontalPodAutoscaler is deprecated in v1.22+, unavailable in v1.25+; use autoscaling/v2 HorizontalPodAutoscaler"},
		{"the topology of an endpoint is two fields", "{apiVersion: discovery.k8s.io/v1beta1, kind: EndpointSlice, endpoints: [{topology: {kubernetes.io/hostname: n1, a: b}}]}",
			"{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, endpoints: [{nodeName: n1, deprecatedTopology: {a: b}}]}",
			"discovery.k8s.io/v1beta1 EndpointSlice is deprecated in v1.21+, unavailable in v1.25+; use discovery.k8s.io/v1 EndpointSlice"},
		{"what is new stays as it is", "{apiVersion: apps/v1, kind: Deployment, spec: {rollbackTo: {}}}", "{apiVersion: apps/v1, kind: Deployment, spec: {rollbackTo: {}}}", ""},
		{"what has no form at all is left to others", "{apiVersion: extensions/v1beta1, kind: Ingress, spec: [1]}", "{apiVersion: networking.k8s.io/v1, kind: Ingress, spec: [1]}",
			"extensions/v1beta1 Ingress is deprecated in v1.14+, unavailable in v1.22+; use networking.k8s.io/v1 Ingress"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var head struct{ APIVersion, Kind string }
			if err := yaml.Unmarshal([]byte(c.old), &head); err != nil {
				t.Fatal(err)
			}
			old, _ := yaml.YAMLToJSON([]byte(c.old))
			want, _ := yaml.YAMLToJSON([]byte(c.want))
			if got, _, warning := modern(old, head.APIVersion, head.Kind); string(got) != string(want) || warning != c.warning {
				t.Errorf("got  %s (%s)\nwant %s (%s)", got, warning, want, c.warning)
			}
		})
	}
}

// Every row leads to a version that is served.
func TestRetiredVersionsHaveSuccessors(t *testing.T) {
	for _, r := range retirements {
		rd := &reader{Options: Options{Catalogue: api.Builtin}}
		for _, kind := range strings.Fields(r.kinds) {
			if _, _, _, err := rd.kindOf(r.now, kind); err != nil {
				t.Errorf("%s %s: %v", r.old, kind, err)
			}
			if _, _, _, err := rd.kindOf(r.old, kind); err == nil {
				t.Errorf("%s %s is still served", r.old, kind)
			}
		}
	}
}
