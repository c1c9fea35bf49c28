package kinds

import (
	"testing"

	"optimist/internal/api/apitest"
)

// What Kubernetes v1.37 makes of what an author left out.
func TestDefaults(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"a pod gets everything that makes it run", `
apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  hostNetwork: true
  containers:
  - name: c
    image: nginx
    ports: [{containerPort: 80}]
    resources: {limits: {cpu: 500m, memory: 1Gi}, requests: {cpu: 0.1}}
    env: [{name: IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}]
    livenessProbe: {httpGet: {port: 80}}
    readinessProbe: {grpc: {port: 9000}, periodSeconds: 3}
    lifecycle: {preStop: {httpGet: {port: 80, scheme: HTTPS}}}
  initContainers:
  - {name: i, image: "registry:5000/init:1.2"}
  volumes:
  - name: empty
  - name: files
    projected: {sources: [{serviceAccountToken: {path: token}}, {downwardAPI: {items: [{path: me, fieldRef: {fieldPath: metadata.name}}]}}]}
  - name: host
    hostPath: {path: /dev}
`, `
apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  hostNetwork: true
  dnsPolicy: ClusterFirst
  restartPolicy: Always
  schedulerName: default-scheduler
  securityContext: {}
  terminationGracePeriodSeconds: 30
  enableServiceLinks: true
  containers:
  - name: c
    image: nginx
    imagePullPolicy: Always
    terminationMessagePath: /dev/termination-log
    terminationMessagePolicy: File
    ports: [{containerPort: 80, hostPort: 80, protocol: TCP}]
    resources: {limits: {cpu: 500m, memory: 1Gi}, requests: {cpu: 100m, memory: 1Gi}}
    env: [{name: IP, valueFrom: {fieldRef: {apiVersion: v1, fieldPath: status.podIP}}}]
    livenessProbe: {httpGet: {path: /, port: 80, scheme: HTTP}, timeoutSeconds: 1, periodSeconds: 10, successThreshold: 1, failureThreshold: 3}
    readinessProbe: {grpc: {port: 9000, service: ""}, timeoutSeconds: 1, periodSeconds: 3, successThreshold: 1, failureThreshold: 3}
    lifecycle: {preStop: {httpGet: {path: /, port: 80, scheme: HTTPS}}}
  initContainers:
  - name: i
    image: "registry:5000/init:1.2"
    imagePullPolicy: IfNotPresent
    terminationMessagePath: /dev/termination-log
    terminationMessagePolicy: File
    resources: {}
  volumes:
  - name: empty
    emptyDir: {}
  - name: files
    projected:
      defaultMode: 420
      sources: [{serviceAccountToken: {path: token, expirationSeconds: 3600}}, {downwardAPI: {items: [{path: me, fieldRef: {apiVersion: v1, fieldPath: metadata.name}}]}}]
  - name: host
    hostPath: {path: /dev, type: ""}
status: {}
`},
		{"a template of a deployment gets less than a pod, so that its hash lasts", `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: c, image: "nginx:1@sha256:0", resources: {limits: {cpu: 1}}}]}
`, `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 1
  revisionHistoryLimit: 10
  progressDeadlineSeconds: 600
  strategy: {type: RollingUpdate, rollingUpdate: {maxSurge: 25%, maxUnavailable: 25%}}
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      dnsPolicy: ClusterFirst
      restartPolicy: Always
      schedulerName: default-scheduler
      securityContext: {}
      terminationGracePeriodSeconds: 30
      containers:
      - name: c
        image: "nginx:1@sha256:0"
        imagePullPolicy: IfNotPresent
        resources: {limits: {cpu: 1}}
        terminationMessagePath: /dev/termination-log
        terminationMessagePolicy: File
status: {}
`},
		{"a replica set wants one", `{apiVersion: apps/v1, kind: ReplicaSet, metadata: {name: r}}`, `
apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: r}
spec:
  replicas: 1
  selector: null
  template: {metadata: {}, spec: {containers: null, dnsPolicy: ClusterFirst, restartPolicy: Always, schedulerName: default-scheduler, securityContext: {}, terminationGracePeriodSeconds: 30}}
status: {replicas: 0}
`},
		{"a service sends to the port that it has itself", `
apiVersion: v1
kind: Service
metadata: {name: s}
spec: {type: LoadBalancer, sessionAffinity: ClientIP, ports: [{port: 80}, {name: b, port: 81, targetPort: http, protocol: UDP}]}
`, `
apiVersion: v1
kind: Service
metadata: {name: s}
spec:
  type: LoadBalancer
  allocateLoadBalancerNodePorts: true
  externalTrafficPolicy: Cluster
  internalTrafficPolicy: Cluster
  sessionAffinity: ClientIP
  sessionAffinityConfig: {clientIP: {timeoutSeconds: 10800}}
  ports: [{port: 80, protocol: TCP, targetPort: 80}, {name: b, port: 81, protocol: UDP, targetPort: http}]
status: {loadBalancer: {}}
`},
		{"a service with another name has no policies", `
{apiVersion: v1, kind: Service, metadata: {name: s}, spec: {type: ExternalName, externalName: example.com}}`, `
{apiVersion: v1, kind: Service, metadata: {name: s}, spec: {type: ExternalName, externalName: example.com, sessionAffinity: None}, status: {loadBalancer: {}}}`},
		{"a secret's text becomes data", `
{apiVersion: v1, kind: Secret, metadata: {name: s}, data: {a: b2xk}, stringData: {a: new, b: x}}`, `
{apiVersion: v1, kind: Secret, metadata: {name: s}, type: Opaque, data: {a: bmV3, b: eA==}}`},
		{"a namespace is labelled with its name", `
{apiVersion: v1, kind: Namespace, metadata: {name: n}}`, `
{apiVersion: v1, kind: Namespace, metadata: {name: n, labels: {kubernetes.io/metadata.name: n}}, spec: {}, status: {phase: Active}}`},
		{"a node may use what it has", `
{apiVersion: v1, kind: Node, metadata: {name: n}, status: {capacity: {cpu: 4}}}`, `
{apiVersion: v1, kind: Node, metadata: {name: n}, spec: {}, status: {capacity: {cpu: 4}, allocatable: {cpu: 4},
  daemonEndpoints: {kubeletEndpoint: {Port: 0}}, nodeInfo: {architecture: "", bootID: "", containerRuntimeVersion: "", kernelVersion: "", kubeProxyVersion: "",
  kubeletVersion: "", machineID: "", operatingSystem: "", osImage: "", systemUUID: ""}}}`},
		{"a priority class preempts", `
{apiVersion: scheduling.k8s.io/v1, kind: PriorityClass, metadata: {name: p}, value: 5}`, `
{apiVersion: scheduling.k8s.io/v1, kind: PriorityClass, metadata: {name: p}, value: 5, preemptionPolicy: PreemptLowerPriority}`},
		{"an endpoint slice's ports are TCP", `
{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: e}, addressType: IPv4, endpoints: [], ports: [{port: 80}]}`, `
{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: e}, addressType: IPv4, endpoints: [], ports: [{name: "", port: 80, protocol: TCP}]}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := toYAML(t, defaulted(t, c.in))
			if want := normal(t, c.want); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// normal brings YAML into the form that toYAML writes.
func normal(t *testing.T, text string) string { return toYAML(t, apitest.Object(t, text)) }

func TestPullPolicyFollowsTheTag(t *testing.T) {
	for image, want := range map[string]string{
		"nginx": "Always", "nginx:latest": "Always", "nginx:1": "IfNotPresent", "host:5000/nginx": "Always", "host:5000/nginx:1": "IfNotPresent",
		"nginx@sha256:0": "IfNotPresent", "nginx:latest@sha256:0": "Always",
	} {
		if got := pullPolicyFor(image); string(got) != want {
			t.Errorf("%s: %s, want %s", image, got, want)
		}
	}
}
