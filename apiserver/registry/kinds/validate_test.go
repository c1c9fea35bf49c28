package kinds

import (
	"strings"
	"testing"

	"optimist/internal/api"
)

// faults runs Default, Prepare and Validate as a create (old == "") or an update would.
func faults(t *testing.T, sub, text, old string) string {
	t.Helper()
	o := defaulted(t, text)
	r := rulesOf(t, o)
	var before api.Object
	if old != "" {
		before = defaulted(t, old)
		if r.Prepare != nil {
			r.Prepare(t.Context(), "", before, nil)
		}
	}
	if r.Prepare != nil {
		r.Prepare(t.Context(), sub, o, before)
	}
	return faultsOf(r.Validate(sub, o, before))
}

// Each row is a pod's spec below one container named c, or as a whole, with the faults that Kubernetes finds in it.
func TestPodFaults(t *testing.T) {
	whole := func(spec string) string {
		return "{apiVersion: v1, kind: Pod, metadata: {name: p, namespace: default}, spec: {" + spec + "}}"
	}
	container := func(c string) string {
		return whole("containers: [{name: c, image: i, " + c + "}], volumes: [{name: v, emptyDir: {}}]")
	}
	with := func(spec string) string { return whole("containers: [{name: c, image: i}], " + spec) }
	for _, c := range []struct{ name, in, want string }{
		{"a pod must run something", whole("containers: []"), "Required spec.containers"},
		{"a container needs a name and an image", whole("containers: [{}]"), "Required spec.containers[0].image\nRequired spec.containers[0].name"},
		{"names are labels of DNS", whole("containers: [{name: A_b, image: i}]"), "Invalid spec.containers[0].name"},
		{"names are unique", whole("containers: [{name: c, image: i}, {name: c, image: i}]"), "Duplicate spec.containers[1].name"},
		{"init containers share the names", with("initContainers: [{name: c, image: i}]"), "Duplicate spec.initContainers[0].name"},
		{"images have no blanks around them", whole("containers: [{name: c, image: ' i'}]"), "Invalid spec.containers[0].image"},
		{"init containers are never probed", with("initContainers: [{name: x, image: i, livenessProbe: {tcpSocket: {port: 1}}, lifecycle: {}}]"),
			"Forbidden spec.initContainers[0].lifecycle\nForbidden spec.initContainers[0].livenessProbe"},
		{"nor is it looked at how", with("initContainers: [{name: x, image: i, startupProbe: {}}]"), "Forbidden spec.initContainers[0].startupProbe"},
		{"nobody sleeps longer than he is given", container("lifecycle: {preStop: {sleep: {seconds: 31}}}"), "Invalid spec.containers[0].lifecycle.preStop.sleep"},
		{"init containers run one after another", with("initContainers: [{name: x, image: i, ports: [{containerPort: 1, hostPort: 1}]}, {name: y1, image: i, ports: [{containerPort: 1, hostPort: 1}]}]"), ""},
		{"sidecars are", with("initContainers: [{name: x, image: i, restartPolicy: Always, readinessProbe: {tcpSocket: {port: 1}}}]"), ""},
		{"words must be known", with("restartPolicy: Never2, dnsPolicy: x, preemptionPolicy: x"),
			"NotSupported spec.dnsPolicy\nNotSupported spec.preemptionPolicy\nNotSupported spec.restartPolicy"},
		{"pull policies too", container("imagePullPolicy: x, terminationMessagePolicy: y"),
			"NotSupported spec.containers[0].imagePullPolicy\nNotSupported spec.containers[0].terminationMessagePolicy"},

		{"variables need names", container("env: [{value: x}]"), "Required spec.containers[0].env[0].name"},
		{"names without =", container("env: [{name: a=b}]"), "Invalid spec.containers[0].env[0].name"},
		{"one source of a value", container("env: [{name: a, valueFrom: {}}]"), "Invalid spec.containers[0].env[0].valueFrom"},
		{"a value or a source", container("env: [{name: a, value: x, valueFrom: {fieldRef: {fieldPath: status.podIP}}}]"), "Invalid spec.containers[0].env[0].valueFrom"},
		{"not two sources", container("env: [{name: a, valueFrom: {fieldRef: {fieldPath: status.podIP}, secretKeyRef: {name: s, key: k}}}]"), "Invalid spec.containers[0].env[0].valueFrom"},
		{"a field that the environment cannot have", container("env: [{name: a, valueFrom: {fieldRef: {fieldPath: status.phase}}}]"), "NotSupported spec.containers[0].env[0].valueFrom.fieldRef.fieldPath"},
		{"a field that does not exist", container("env: [{name: a, valueFrom: {fieldRef: {fieldPath: spec.x}}}]"), "Invalid spec.containers[0].env[0].valueFrom.fieldRef.fieldPath"},
		{"one label", container("env: [{name: a, valueFrom: {fieldRef: {fieldPath: \"metadata.labels['app']\"}}}]"), ""},
		{"an amount that does not exist", container("env: [{name: a, valueFrom: {resourceFieldRef: {resource: limits.x}}}]"), "NotSupported spec.containers[0].env[0].valueFrom.resourceFieldRef.resource"},
		{"an odd unit", container("env: [{name: a, valueFrom: {resourceFieldRef: {resource: limits.cpu, divisor: 1Mi}}}]"), "Invalid spec.containers[0].env[0].valueFrom.resourceFieldRef.divisor"},
		{"keys are named", container("env: [{name: a, valueFrom: {configMapKeyRef: {name: m}}}]"), "Required spec.containers[0].env[0].valueFrom.configMapKeyRef.key"},
		{"envFrom takes one source", container("envFrom: [{}]"), "Invalid spec.containers[0].envFrom"},

		{"ports lie in range", container("ports: [{containerPort: 70000}, {}]"), "Invalid spec.containers[0].ports[0].containerPort\nRequired spec.containers[0].ports[1].containerPort"},
		{"port names are unique and short", container("ports: [{containerPort: 1, name: http}, {containerPort: 2, name: http}, {containerPort: 3, name: '-x'}]"),
			"Duplicate spec.containers[0].ports[1].name\nInvalid spec.containers[0].ports[2].name"},
		{"a host port is taken once", container("ports: [{containerPort: 1, hostPort: 80}, {containerPort: 2, hostPort: 80}]"), "Duplicate spec.containers[0].ports[1].hostPort"},
		{"on the host's network ports are the host's", whole("hostNetwork: true, containers: [{name: c, image: i, ports: [{containerPort: 1, hostPort: 2}]}]"), "Invalid spec.containers[0].ports[0].containerPort"},

		{"a request within its limit", container("resources: {requests: {cpu: 2}, limits: {cpu: 1}}"), "Invalid spec.containers[0].resources.requests"},
		{"amounts are not negative", container("resources: {limits: {cpu: '-1'}}"), "Invalid spec.containers[0].resources.limits[cpu]\nInvalid spec.containers[0].resources.requests[cpu]"},
		{"amounts are known", container("resources: {limits: {cpus: 1}}"), "Invalid spec.containers[0].resources.limits[cpus]\nInvalid spec.containers[0].resources.requests[cpus]"},
		{"pieces are whole and not shared", container("resources: {requests: {example.com/gpu: 1.5}}"),
			"Invalid spec.containers[0].resources.requests[example.com/gpu]\nRequired spec.containers[0].resources.limits"},

		{"a probe asks one way", container("livenessProbe: {}"), "Required spec.containers[0].livenessProbe"},
		{"not two", container("readinessProbe: {exec: {command: [a]}, tcpSocket: {port: 1}}"), "Forbidden spec.containers[0].readinessProbe.tcpSocket"},
		{"being alive needs one success", container("livenessProbe: {tcpSocket: {port: 1}, successThreshold: 2}"), "Invalid spec.containers[0].livenessProbe.successThreshold"},
		{"a probe's port is a port", container("startupProbe: {httpGet: {port: 0}}"), "Invalid spec.containers[0].startupProbe.httpGet.port"},
		{"times are not negative", container("readinessProbe: {tcpSocket: {port: x}, periodSeconds: -1}"), "Invalid spec.containers[0].readinessProbe.periodSeconds"},
		{"a hook does something", container("lifecycle: {preStop: {}}"), "Required spec.containers[0].lifecycle.preStop"},
		{"a command is not empty", container("lifecycle: {postStart: {exec: {}}}"), "Required spec.containers[0].lifecycle.postStart.exec.command"},

		{"mounts name volumes", container("volumeMounts: [{name: x, mountPath: /a}]"), "NotFound spec.containers[0].volumeMounts[0].name"},
		{"two mounts, two places", container("volumeMounts: [{name: v, mountPath: /a}, {name: v, mountPath: /a}]"), "Invalid spec.containers[0].volumeMounts[1].mountPath"},
		{"nobody climbs out", container("volumeMounts: [{name: v, mountPath: /a, subPath: ../b}]"), "Invalid spec.containers[0].volumeMounts.subPath"},
		{"volumes have one source", with("volumes: [{name: v, emptyDir: {}, hostPath: {path: /}}]"), "Forbidden spec.volumes[0].hostPath"},
		{"volumes are unique", with("volumes: [{name: v}, {name: v}]"), "Duplicate spec.volumes[1].name"},
		{"files have a mode", with("volumes: [{name: v, secret: {secretName: s, defaultMode: 512}}]"), "Invalid spec.volumes[0].secret.defaultMode"},
		{"files of the downward API tell one thing, of a container by its name", with("volumes: [{name: v, downwardAPI: {items: [{path: a}, {path: b, resourceFieldRef: {resource: limits.cpu}}, {path: c, fieldRef: {fieldPath: metadata.name}, resourceFieldRef: {containerName: c, resource: limits.cpu}}]}}]"),
			"Invalid spec.volumes[0].downwardAPI.items[2]\nRequired spec.volumes[0].downwardAPI.items[0]\nRequired spec.volumes[0].downwardAPI.items[1].resourceFieldRef.containerName"},
		{"files stay inside", with("volumes: [{name: v, configMap: {name: m, items: [{key: k, path: /abs}]}}]"), "Invalid spec.volumes[0].configMap.items[0].path"},

		{"users are numbers from 0", with("securityContext: {runAsUser: -1, fsGroup: -1}"), "Invalid spec.securityContext.fsGroup\nInvalid spec.securityContext.runAsUser"},
		{"privileged may not also be barred from escalating", container("securityContext: {privileged: true, allowPrivilegeEscalation: false}"), "Invalid spec.containers[0].securityContext"},
		{"a local profile is named", with("securityContext: {seccompProfile: {type: Localhost}}"), "Required spec.securityContext.seccompProfile.localhostProfile"},

		{"tolerating everything must be said", with("tolerations: [{value: x}]"), "Invalid spec.tolerations[0].operator"},
		{"Exists compares nothing", with("tolerations: [{key: a, operator: Exists, value: x}]"), "Invalid spec.tolerations[0].operator"},
		{"seconds are for NoExecute", with("tolerations: [{key: a, effect: NoSchedule, tolerationSeconds: 1}]"), "Invalid spec.tolerations[0].effect"},
		{"effects are known", with("tolerations: [{key: a, effect: x}]"), "NotSupported spec.tolerations[0].effect"},
		{"labels of nodes are labels", with("nodeSelector: {'a b': c}"), "Invalid spec.nodeSelector"},
		{"affinity has terms", with("affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: []}}}"),
			"Required spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms"},
		{"weights are percents", with("affinity: {podAntiAffinity: {preferredDuringSchedulingIgnoredDuringExecution: [{weight: 0, podAffinityTerm: {topologyKey: a}}]}}"),
			"Invalid spec.affinity.podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].weight"},
		{"spreading says over what", with("topologySpreadConstraints: [{maxSkew: 0, whenUnsatisfiable: x}]"),
			"Invalid spec.topologySpreadConstraints[0].maxSkew\nNotSupported spec.topologySpreadConstraints[0].whenUnsatisfiable\nRequired spec.topologySpreadConstraints[0].topologyKey"},
		{"a deadline lies ahead", with("activeDeadlineSeconds: 0"), "Invalid spec.activeDeadlineSeconds"},
		{"a hostname is a label", with("hostname: a.b, subdomain: A"), "Invalid spec.hostname\nInvalid spec.subdomain"},
		{"own DNS needs servers", with("dnsPolicy: None"), "Required spec.dnsConfig"},
		{"gates hold a pod that is not bound", with("nodeName: n, schedulingGates: [{name: a}, {name: a}]"), "Duplicate spec.schedulingGates[1].name\nForbidden spec.nodeName"},
		{"helpers come later", with("ephemeralContainers: [{name: e, image: i}]"), "Forbidden spec.ephemeralContainers"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := faults(t, "", c.in, ""); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

func TestPodUpdates(t *testing.T) {
	pod := func(spec string) string {
		return "{apiVersion: v1, kind: Pod, metadata: {name: p, namespace: default}, spec: {" + spec + "}}"
	}
	const base = "containers: [{name: c, image: i}]"
	for _, c := range []struct{ name, old, now, want string }{
		{"nothing", base, base, ""},
		{"the image may change", base, "containers: [{name: c, image: j}]", ""},
		{"the command may not", base, "containers: [{name: c, image: i, command: [x]}]", "Forbidden spec"},
		{"nor the number of containers", base, "containers: [{name: c, image: i}, {name: d, image: i}]", "Forbidden spec.containers"},
		{"nor the node", base, base + ", nodeName: n", "Forbidden spec"},
		{"tolerations may be added", base, base + ", tolerations: [{key: a, operator: Exists}]", ""},
		{"but not taken", base + ", tolerations: [{key: a, operator: Exists}]", base, "Forbidden spec.tolerations"},
		{"a deadline may come", base, base + ", activeDeadlineSeconds: 5", ""},
		{"and come nearer", base + ", activeDeadlineSeconds: 5", base + ", activeDeadlineSeconds: 4", ""},
		{"but not go further off", base + ", activeDeadlineSeconds: 5", base + ", activeDeadlineSeconds: 6", "Invalid spec.activeDeadlineSeconds"},
		{"nor go", base + ", activeDeadlineSeconds: 5", base, "Invalid spec.activeDeadlineSeconds"},
		{"the grace only becomes 1 when it was negative", base + ", terminationGracePeriodSeconds: -1", base + ", terminationGracePeriodSeconds: 1", ""},
		{"else it stays", base + ", terminationGracePeriodSeconds: 5", base + ", terminationGracePeriodSeconds: 1", "Forbidden spec"},
		{"gates go", base + ", schedulingGates: [{name: a}, {name: b}]", base + ", schedulingGates: [{name: b}]", ""},
		{"and do not come", base, base + ", schedulingGates: [{name: a}]", "Forbidden spec.schedulingGates[0].name"},
		{"a gated pod may narrow where it goes", base + ", schedulingGates: [{name: a}]", base + ", nodeSelector: {d: ssd}", ""},
		{"a free one may not", base, base + ", nodeSelector: {d: ssd}", "Forbidden spec"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := faults(t, "", pod(c.now), pod(c.old)); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

// The other kinds: what is refused when an object is made, and (after old) when it is changed.
func TestFaults(t *testing.T) {
	const podSpec = "spec: {containers: [{name: c, image: i}]}"
	deployment := func(spec string) string {
		return "{apiVersion: apps/v1, kind: Deployment, metadata: {name: d}, spec: {" + spec + "}}"
	}
	const sound = "selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, " + podSpec + "}"
	of := func(kind, rest string) string {
		version := map[string]string{"CertificateSigningRequest": "certificates.k8s.io/v1", "Lease": "coordination.k8s.io/v1", "EndpointSlice": "discovery.k8s.io/v1", "PriorityClass": "scheduling.k8s.io/v1", "ReplicaSet": "apps/v1"}[kind]
		if version == "" {
			version = "v1"
		}
		return "{apiVersion: " + version + ", kind: " + kind + ", " + rest + "}"
	}
	service := func(spec string) string { return of("Service", "metadata: {name: s}, spec: {"+spec+"}") }
	secret := func(rest string) string { return of("Secret", "metadata: {name: s}, "+rest) }
	event := func(rest string) string { return of("Event", "metadata: {name: e, namespace: default}, "+rest) }
	slice := func(rest string) string { return of("EndpointSlice", "metadata: {name: e}, "+rest) }
	csr := func(spec string) string {
		return of("CertificateSigningRequest", "metadata: {name: c}, spec: {"+spec+"}")
	}
	big := strings.Repeat("x", 1<<20+1)
	for _, c := range []struct{ name, in, old, want string }{
		{"a sound deployment", deployment(sound), "", ""},
		{"a selector can be read", deployment("selector: {matchExpressions: [{key: a, operator: x}]}, template: {metadata: {labels: {a: b}}, " + podSpec + "}"), "", "Invalid spec.selector\nInvalid spec.selector.matchExpressions[0].operator"},
		{"a deployment knows its pods", deployment("template: {metadata: {labels: {a: b}}, " + podSpec + "}"), "", "Invalid spec.template.metadata.labels\nRequired spec.selector"},
		{"and not all pods", deployment("selector: {}, template: {metadata: {labels: {a: b}}, " + podSpec + "}"), "", "Invalid spec.selector"},
		{"its pods match", deployment("selector: {matchLabels: {a: c}}, template: {metadata: {labels: {a: b}}, " + podSpec + "}"), "", "Invalid spec.template.metadata.labels"},
		{"its pods run for ever", deployment("selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {restartPolicy: Never, activeDeadlineSeconds: 3, containers: [{name: c, image: i}]}}"), "",
			"Forbidden spec.template.spec.activeDeadlineSeconds\nNotSupported spec.template.spec.restartPolicy"},
		{"its template is checked like a pod", deployment("selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {containers: [{name: c}]}}"), "", "Required spec.template.spec.containers[0].image"},
		{"numbers are not negative", deployment(sound + ", replicas: -1, minReadySeconds: -1, revisionHistoryLimit: -1"), "", "Invalid spec.minReadySeconds\nInvalid spec.replicas\nInvalid spec.revisionHistoryLimit"},
		{"something must be able to move", deployment(sound + ", strategy: {rollingUpdate: {maxSurge: 0, maxUnavailable: 0%}}"), "", "Invalid spec.strategy.rollingUpdate.maxUnavailable"},
		{"percents are percents", deployment(sound + ", strategy: {rollingUpdate: {maxSurge: x%, maxUnavailable: 101%}}"), "", "Invalid spec.strategy.rollingUpdate.maxSurge\nInvalid spec.strategy.rollingUpdate.maxUnavailable"},
		{"Recreate has no bounds", deployment(sound + ", strategy: {type: Recreate, rollingUpdate: {}}"), "", "Forbidden spec.strategy.rollingUpdate"},
		{"strategies are known", deployment(sound + ", strategy: {type: x}"), "", "NotSupported spec.strategy.type"},
		{"progress outlasts readiness", deployment(sound + ", minReadySeconds: 600"), "", "Invalid spec.progressDeadlineSeconds"},
		{"the selector stays", deployment("selector: {matchLabels: {a: b, c: d}}, template: {metadata: {labels: {a: b, c: d}}, " + podSpec + "}"), deployment(sound), "Invalid spec.selector"},
		{"a replica set's too", of("ReplicaSet", "metadata: {name: r}, spec: {selector: {matchLabels: {c: d}}, template: {metadata: {labels: {a: b, c: d}}, "+podSpec+"}}"),
			of("ReplicaSet", "metadata: {name: r}, spec: {"+sound+"}"), "Invalid spec.selector"},

		{"keys are file names", of("ConfigMap", "metadata: {name: c}, data: {a/b: x, .: y}, binaryData: {ok: eA==}"), "", "Invalid data[.]\nInvalid data[a/b]"},
		{"a key lies in one place", of("ConfigMap", "metadata: {name: c}, data: {a: x}, binaryData: {a: eA==}"), "", "Invalid data[a]"},
		{"no more than a mebibyte", of("ConfigMap", "metadata: {name: c}, data: {a: "+big+"}"), "", "TooLong []"},
		{"what is frozen stays", of("ConfigMap", "metadata: {name: c}, data: {a: x}"), of("ConfigMap", "metadata: {name: c}, immutable: true, data: {a: y}"), "Forbidden data\nForbidden immutable"},
		{"a secret too large", secret("stringData: {a: " + big + "}"), "", "TooLong data"},
		{"tls needs both halves", secret("type: kubernetes.io/tls"), "", "Required data[tls.crt]\nRequired data[tls.key]"},
		{"basic-auth needs one", secret("type: kubernetes.io/basic-auth"), "", "Required data[password]\nRequired data[username]"},
		{"basic-auth has one", secret("type: kubernetes.io/basic-auth, stringData: {username: u}"), "", ""},
		{"docker's file is JSON", secret("type: kubernetes.io/dockerconfigjson, stringData: {.dockerconfigjson: '{'}"), "", "Invalid data[.dockerconfigjson]"},
		{"and must be there", secret("type: kubernetes.io/dockerconfigjson"), "", "Required data[.dockerconfigjson]"},
		{"ssh needs a key", secret("type: kubernetes.io/ssh-auth"), "", "Required data[ssh-privatekey]"},
		{"a token names its account", secret("type: kubernetes.io/service-account-token"), "", "Required metadata.annotations[kubernetes.io/service-account.name]"},
		{"a bootstrap token is whole", of("Secret", "type: bootstrap.kubernetes.io/token, metadata: {namespace: kube-system, name: bootstrap-token-abcdef}, stringData: {token-id: abcdef, token-secret: 0123456789abcdef}"), "", ""},
		{"and has its forms", of("Secret", "type: bootstrap.kubernetes.io/token, metadata: {namespace: default, name: bootstrap-token-abcdef}, "+
			"stringData: {token-id: ABC, token-secret: short, expiration: tomorrow, usage-bootstrap-signing: maybe, auth-extra-groups: 'system:masters'}"), "",
			"Invalid data[auth-extra-groups]\nInvalid data[expiration]\nInvalid data[token-id]\nInvalid data[token-secret]\nInvalid data[usage-bootstrap-signing]\nInvalid metadata.name"},
		{"a request names its signer, its use and its key", csr("signerName: x, usages: [x, any, any], expirationSeconds: 599, request: eA=="), "",
			"Duplicate spec.usages[2]\nInvalid spec.expirationSeconds\nInvalid spec.request\nInvalid spec.signerName\nNotSupported spec.usages[0]"},
		{"or lacks them", csr(""), "", "Required spec.request\nRequired spec.signerName\nRequired spec.usages"},
		{"the type stays", secret("type: x"), secret("type: y"), "Invalid type"},

		{"a service has ports", service(""), "", "Required spec.ports"},
		{"a headless one need not", service("clusterIP: None"), "", ""},
		{"several ports have names", service("ports: [{port: 1}, {port: 2, name: a}, {port: 3, name: a}]"), "", "Duplicate spec.ports[2].name\nRequired spec.ports[0].name"},
		{"ports are ports", service("ports: [{port: 0, targetPort: -x}]"), "", "Invalid spec.ports[0].port\nInvalid spec.ports[0].targetPort"},
		{"a port is served once", service("ports: [{port: 1, name: a}, {port: 1, name: b}]"), "", "Duplicate spec.ports[1]"},
		{"or once a protocol", service("ports: [{port: 53, name: a}, {port: 53, name: b, protocol: UDP}]"), "", ""},
		{"inside only, no node port", service("ports: [{port: 1, nodePort: 30000}]"), "", "Forbidden spec.ports[0].nodePort"},
		{"a node port is used once", service("type: NodePort, ports: [{port: 1, name: a, nodePort: 30000}, {port: 2, name: b, nodePort: 30000}]"), "", "Duplicate spec.ports[1].nodePort"},
		{"no headless load balancer", service("type: LoadBalancer, clusterIP: None, ports: [{port: 1}]"), "", "Invalid spec.clusterIPs[0]"},
		{"another name is named", service("type: ExternalName"), "", "Required spec.externalName"},
		{"and has no address", service("type: ExternalName, externalName: a.b, clusterIP: 10.96.0.9"), "", "Forbidden spec.clusterIPs"},
		{"IPv6 is refused by name", service("ports: [{port: 1}], ipFamilies: [IPv6], ipFamilyPolicy: RequireDualStack"), "", "Invalid spec.ipFamilies[0]\nInvalid spec.ipFamilyPolicy"},
		{"policies for outside are for outside", service("ports: [{port: 1}], externalTrafficPolicy: Local"), "", "Invalid spec.externalTrafficPolicy"},
		{"load balancers' fields are theirs", service("ports: [{port: 1}], loadBalancerClass: a/b, allocateLoadBalancerNodePorts: true, loadBalancerSourceRanges: [10.0.0.0/8]"), "",
			"Forbidden spec.allocateLoadBalancerNodePorts\nForbidden spec.loadBalancerClass\nForbidden spec.loadBalancerSourceRanges"},
		{"clients stay a day at most", service("ports: [{port: 1}], sessionAffinity: ClientIP, sessionAffinityConfig: {clientIP: {timeoutSeconds: 86401}}"), "", "Invalid spec.sessionAffinityConfig.clientIP.timeoutSeconds"},
		{"an address is one", service("ports: [{port: 1}], clusterIP: 1.2.3"), "", "Invalid spec.clusterIPs[0]"},
		{"an address stays", service("ports: [{port: 1}], clusterIP: 10.96.0.9"), service("ports: [{port: 1}], clusterIP: 10.96.0.8"), "Invalid spec.clusterIPs[0]"},
		{"an address not named again stays", service("ports: [{port: 1}]"), service("ports: [{port: 1}], clusterIP: 10.96.0.8"), ""},

		{"slices hold addresses of their type", slice("addressType: IPv4, endpoints: [{addresses: ['::1', 10.0.0.1, x]}, {addresses: []}]"), "",
			"Invalid endpoints[0].addresses[0]\nInvalid endpoints[0].addresses[2]\nRequired endpoints[1].addresses"},
		{"no address of this machine", slice("addressType: IPv4, endpoints: [{addresses: [127.0.0.1]}]"), "", "Invalid endpoints[0].addresses[0]"},
		{"hints name zones and nodes once", slice("addressType: IPv4, endpoints: [{addresses: [10.0.0.1], hints: {forZones: [{name: a}, {name: a}], forNodes: [{name: A}]}}]"), "",
			"Duplicate endpoints[0].hints.forZones[1].name\nInvalid endpoints[0].hints.forNodes[0].name"},
		{"types are known", slice("addressType: x, endpoints: []"), "", "NotSupported addressType"},
		{"and stay", slice("addressType: IPv6, endpoints: []"), slice("addressType: IPv4, endpoints: []"), "Invalid addressType"},
		{"ports have different names", slice("addressType: IPv4, endpoints: [], ports: [{port: 1}, {port: 2}]"), "", "Duplicate ports[1].name"},

		{"leases last", of("Lease", "metadata: {name: l}, spec: {leaseDurationSeconds: 0, leaseTransitions: -1}"), "", "Invalid spec.leaseDurationSeconds\nInvalid spec.leaseTransitions"},
		{"preferring needs a strategy", of("Lease", "metadata: {name: l}, spec: {preferredHolder: x}"), "", "Forbidden spec.preferredHolder"},
		{"an event lies beside its object", event("involvedObject: {namespace: x}"), "", "Invalid involvedObject.namespace"},
		{"about a node in default", event("involvedObject: {kind: Node, name: n}"), "", ""},
		{"a newer event says who and what", event("involvedObject: {namespace: default}, eventTime: '2026-01-01T00:00:00.000000Z'"), "",
			"Invalid reportingComponent\nInvalid reportingComponent\nRequired action\nRequired reason\nRequired reportingComponent\nRequired reportingInstance"},
		{"the highest priorities are the system's", of("PriorityClass", "metadata: {name: p}, value: 1000000001"), "", "Forbidden value"},
		{"so are their names", of("PriorityClass", "metadata: {name: system-x}, value: 1"), "", "Forbidden metadata.name"},
		{"it may name its own", of("PriorityClass", "metadata: {name: system-node-critical}, value: 2000001000"), "", ""},
		{"a value stays", of("PriorityClass", "metadata: {name: p}, value: 2, preemptionPolicy: Never"), of("PriorityClass", "metadata: {name: p}, value: 1"), "Forbidden value\nInvalid preemptionPolicy"},
		{"taints are labels with an effect", of("Node", "metadata: {name: n}, spec: {taints: [{key: a, effect: NoSchedule}, {key: a, effect: NoSchedule}, {key: 'a b'}]}"), "",
			"Duplicate spec.taints[1]\nInvalid spec.taints[2].key\nRequired spec.taints[2].effect"},
		{"ranges are ranges", of("Node", "metadata: {name: n}, spec: {podCIDR: 10.0.0.1}"), "", "Invalid spec.podCIDRs[0]"},
		{"ranges stay", of("Node", "metadata: {name: n}, spec: {podCIDR: 10.0.1.0/24}"), of("Node", "metadata: {name: n}, spec: {podCIDR: 10.0.0.0/24}"), "Forbidden spec.podCIDRs"},
		{"addresses are listed once", of("Node", "metadata: {name: n}, status: {addresses: [{type: InternalIP, address: 10.0.0.1}, {type: InternalIP, address: 10.0.0.1}]}"), "", "Duplicate status.addresses[1]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := faults(t, "", c.in, c.old); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}
