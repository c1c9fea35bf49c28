package why

import (
	"fmt"
	"strings"
	"time"
)

// situation is made broken or healthy, from the same names and numbers. make returns what to ask about, and what the answer has to name.
type situation struct {
	name string
	says string // part of the cause in any case
	gone bool   // healed means that the object is gone
	make func(w *world, broken bool) (about string, facts []string)
}

// pick is the broken value or the healthy one.
func pick[T any](broken bool, bad, good T) T {
	if broken {
		return bad
	}
	return good
}

func withImage(container string) string {
	if strings.HasPrefix(container, "image: ") {
		return container
	}
	return "image: app, " + container
}

// pod is a manifest of a bare pod with one container.
func pod(name, spec, container string) string {
	return fmt.Sprintf("---\n{apiVersion: v1, kind: Pod, metadata: {name: %s}, spec: {%s containers: [{name: main, %s}]}}\n", name, spec, withImage(container))
}

// deployment is a manifest of one.
func deployment(name string, replicas int, spec, pods, container string) string {
	return fmt.Sprintf("---\n{apiVersion: apps/v1, kind: Deployment, metadata: {name: %[1]s}, spec: {replicas: %[2]d, %[3]s selector: {matchLabels: {app: %[1]s}}, "+
		"template: {metadata: {labels: {app: %[1]s}}, spec: {%[4]s containers: [{name: main, %[5]s}]}}}}\n", name, replicas, spec, pods, withImage(container))
}

// rolledOut is a deployment that is well, and then changed.
func rolledOut(w *world, name string, replicas int, spec, pods, container string) {
	w.apply("%s", deployment(name, replicas, spec, "", ""))
	w.until("is well", "deployment/"+name)
	w.apply("%s", deployment(name, replicas, spec, pods, container))
}

func requests(cpu, memory string) string {
	return fmt.Sprintf("resources: {requests: {cpu: %s, memory: %s}}", cpu, memory)
}

var situations = []situation{
	{name: "cpu too big", says: "Insufficient cpu", make: func(w *world, broken bool) (string, []string) {
		name, need := w.name("big"), w.cpu+w.between(1, 90)
		w.apply("%s", pod(name, "", requests(fmt.Sprint(pick(broken, need, w.cpu)), "1Mi")))
		return "pod/" + name, []string{name, fmt.Sprintf("needs %d, has %d of %d", need, w.cpu, w.cpu), fmt.Sprintf("none of %d node", w.nodes)}
	}},
	{name: "memory too big", says: "Insufficient memory", make: func(w *world, broken bool) (string, []string) {
		name, need := w.name("web"), w.memory+w.between(1, 9999)
		w.apply("%s", deployment(name, 1, "", "", requests("1m", fmt.Sprintf("%dMi", pick(broken, need, w.memory)))))
		return "deployment/" + name, []string{name, "--requests=memory="}
	}},
	{name: "cpu and memory too big", says: "Insufficient", make: func(w *world, broken bool) (string, []string) {
		name := w.name("web")
		w.apply("%s", deployment(name, 1, "", "", requests(fmt.Sprint(w.cpu+pick(broken, 7, 0)), fmt.Sprintf("%dMi", w.memory+pick(broken, 1000, 0)))))
		return "deployment/" + name, []string{"--requests=memory=", "--requests=cpu="}
	}},
	{name: "selector matches no node", says: "didn't match Pod's node affinity/selector", make: func(w *world, broken bool) (string, []string) {
		name, key, value := w.name("web"), w.name("disk"), w.name("ssd")
		for i := range w.nodes {
			w.ctl("label", "node", fmt.Sprintf("n%d", i+1), key+"="+pick(broken, "other", value))
		}
		w.apply("%s", deployment(name, 1, "", fmt.Sprintf("nodeSelector: {%s: %s},", key, value), ""))
		return "deployment/" + name, []string{key + "=" + value, "has " + key + "=other"}
	}},
	{name: "taint", says: "untolerated taint", make: func(w *world, broken bool) (string, []string) {
		name, key, value := w.name("web"), w.name("team"), w.name("blue")
		for i := range w.nodes {
			w.ctl("taint", "nodes", fmt.Sprintf("n%d", i+1), fmt.Sprintf("%s=%s:NoSchedule", key, value))
		}
		tolerations := fmt.Sprintf("tolerations: [{key: other}, {key: %s, value: %s}],", key, pick(broken, "wrong", value))
		w.apply("%s", deployment(name, 1, "", tolerations, ""))
		return "deployment/" + name, []string{key, value}
	}},
	{name: "taint, for a bare pod", says: "untolerated taint", make: func(w *world, broken bool) (string, []string) {
		name, key := w.name("web"), w.name("team")
		for i := range w.nodes {
			w.ctl("taint", "nodes", fmt.Sprintf("n%d", i+1), key+":NoExecute")
		}
		w.apply("%s", pod(name, pick(broken, "", fmt.Sprintf("tolerations: [{key: %s, operator: Exists}],", key)), ""))
		return "pod/" + name, []string{key}
	}},
	{name: "all nodes cordoned", says: "unschedulable", make: func(w *world, broken bool) (string, []string) {
		for i := range w.nodes - pick(broken, 0, 1) {
			w.ctl("cordon", fmt.Sprintf("n%d", i+1))
		}
		name := w.name("web")
		w.apply("%s", deployment(name, w.between(1, 2), "", "", ""))
		return "deployment/" + name, []string{name, "uncordon"}
	}},
	{name: "cpu taken by others", says: "Insufficient cpu", make: func(w *world, broken bool) (string, []string) {
		name, hog := w.name("web"), w.name("hog")
		w.apply("%s", deployment(hog, w.nodes, "", "", requests(fmt.Sprintf("%dm", pick(broken, w.cpu*900, w.cpu*100)), "1Mi")))
		w.until("is well", "deployment/"+hog)
		w.apply("%s", deployment(name, 1, "", "", requests(fmt.Sprintf("%dm", w.cpu*500), "1Mi")))
		return "deployment/" + name, []string{fmt.Sprintf("of %d", w.cpu), "scale deployment/" + hog, fmt.Sprintf("--replicas=%d", w.nodes-1)}
	}},
	{name: "no place for one more pod", says: "Too many pods", make: func(w *world, broken bool) (string, []string) {
		for range w.nodes*w.places - pick(broken, 0, 1) {
			other := w.name("other")
			w.apply("%s", pod(other, "", ""))
			w.until("is well", "pod/"+other)
		}
		name := w.name("last")
		w.apply("%s", pod(name, "", ""))
		return "pod/" + name, []string{fmt.Sprintf("needs 1, has 0 of %d", w.places), "delete pod/other-"}
	}},
	{name: "scheduling gate", says: "scheduling gate", make: func(w *world, broken bool) (string, []string) {
		name, gate := w.name("web"), w.name("example.com/gate")
		w.apply("%s", deployment(name, w.between(1, 2), "", pick(broken, fmt.Sprintf("schedulingGates: [{name: %s}],", gate), ""), ""))
		return "deployment/" + name, []string{gate}
	}},
	{name: "another scheduler", says: "this cluster's is default-scheduler", make: func(w *world, broken bool) (string, []string) {
		name, other := w.name("web"), w.name("mine")
		w.apply("%s", pod(name, "schedulerName: "+pick(broken, other, "default-scheduler")+",", ""))
		return "pod/" + name, []string{other}
	}},
	{name: "no scheduler", says: "no scheduler runs", make: func(w *world, broken bool) (string, []string) {
		if broken {
			w.stop("scheduler")
		}
		name := w.name("web")
		w.apply("%s", deployment(name, w.between(1, 3), "", "", ""))
		return "deployment/" + name, []string{name}
	}},
	{name: "no controllers", says: "no controllers run", make: func(w *world, broken bool) (string, []string) {
		if broken {
			w.stop("controllers")
		}
		name := w.name("web")
		w.apply("%s", deployment(name, w.between(1, 3), "", "", ""))
		return "deployment/" + name, []string{name}
	}},
	{name: "image not found", says: "is not in its registry", make: func(w *world, broken bool) (string, []string) {
		name, image := w.name("web"), "registry.example/"+w.name("app")+pick(broken, "-missing", "")
		rolledOut(w, name, w.between(1, 3), "", "", "image: "+image)
		return "deployment/" + name, []string{image, name}
	}},
	{name: "rollout stuck past its deadline", says: "(progressDeadlineSeconds)", make: func(w *world, broken bool) (string, []string) {
		name, deadline := w.name("web"), w.between(20, 90)
		rolledOut(w, name, w.between(1, 3), fmt.Sprintf("progressDeadlineSeconds: %d,", deadline), "", "image: "+pick(broken, "app-missing", "app:2"))
		if broken {
			w.run(strings.NewReader(""), "rollout", "status", "deployment/"+name) // ends with the deadline
		}
		return "deployment/" + name, []string{fmt.Sprintf("for more than %ds", deadline), "app-missing"}
	}},
	{name: "image needs a login", says: "only with a login", make: func(w *world, broken bool) (string, []string) {
		name, image := w.name("web"), "registry.example/"+w.name("app")+pick(broken, "-unauthorized", "")
		rolledOut(w, name, w.between(1, 3), "", "", "image: "+image)
		return "deployment/" + name, []string{image}
	}},
	{name: "no name of an image", says: "which is no name of an image", make: func(w *world, broken bool) (string, []string) {
		name, image := w.name("web"), w.name(pick(broken, "App", "app"))
		rolledOut(w, name, 1, "", "", "image: "+image)
		return "deployment/" + name, []string{image}
	}},
	{name: "crash loop", says: "ends with exit code", make: func(w *world, broken bool) (string, []string) {
		name, code, word := w.name("web"), w.between(1, 125), w.name("cannot-open")
		rolledOut(w, name, w.between(1, 3), "", "", fmt.Sprintf(`args: ["sim:print=%s"%s]`, word, pick(broken, fmt.Sprintf(`, "sim:exit=%d"`, code), "")))
		return "deployment/" + name, []string{fmt.Sprintf("exit code %d", code), "it printed: " + word}
	}},
	{name: "init container fails", says: "init container", make: func(w *world, broken bool) (string, []string) {
		name, init, code := w.name("web"), w.name("setup"), w.between(1, 125)
		rolledOut(w, name, 1, "", fmt.Sprintf(`initContainers: [{name: %s, image: app, args: ["sim:exit=%d"]}],`, init, pick(broken, code, 0)), "")
		return "deployment/" + name, []string{init, fmt.Sprintf("exit code %d", code)}
	}},
	{name: "command not found", says: `cannot run "/missing"`, make: func(w *world, broken bool) (string, []string) {
		name := w.name("tool")
		w.apply("%s", pod(name, "", "command: ["+pick(broken, "/missing", "/bin/tool")+"]"))
		return "pod/" + name, []string{name}
	}},
	{name: "ConfigMap missing", says: "which does not exist", make: func(w *world, broken bool) (string, []string) {
		name, config, key := w.name("web"), w.name("settings"), w.name("colour")
		if !broken {
			w.apply("{apiVersion: v1, kind: ConfigMap, metadata: {name: %s}, data: {%s: blue}}", config, key)
		}
		w.apply("%s", deployment(name, w.between(1, 3), "", "", fmt.Sprintf("env: [{name: A, valueFrom: {configMapKeyRef: {name: %s, key: %s}}}]", config, key)))
		return "deployment/" + name, []string{config, key}
	}},
	{name: "ConfigMap of a volume missing", says: "waits for its volume", make: func(w *world, broken bool) (string, []string) {
		name, config, key := w.name("web"), w.name("settings"), w.name("colour")
		if !broken {
			w.apply("{apiVersion: v1, kind: ConfigMap, metadata: {name: %s}, data: {%s: blue}}", config, key)
		}
		w.apply("%s", deployment(name, 1, "", fmt.Sprintf("volumes: [{name: v, configMap: {name: %s, items: [{key: %s, path: p}]}}],", config, key), "volumeMounts: [{name: v, mountPath: /v}]"))
		return "deployment/" + name, []string{config, key}
	}},
	{name: "key of a Secret missing", says: "which has no such key", make: func(w *world, broken bool) (string, []string) {
		name, secret, key := w.name("web"), w.name("db"), w.name("password")
		w.apply("{apiVersion: v1, kind: Secret, metadata: {name: %s}, stringData: {%s: x}}", secret, pick(broken, "other", key))
		w.apply("%s", pod(name, "", fmt.Sprintf("env: [{name: A, valueFrom: {secretKeyRef: {name: %s, key: %s}}}]", secret, key)))
		return "pod/" + name, []string{"secret " + secret, "key " + key}
	}},
	{name: "rollout paused", says: "is paused", make: func(w *world, broken bool) (string, []string) {
		name := w.name("web")
		w.apply("%s", deployment(name, w.between(1, 3), "", "", ""))
		w.until("is well", "deployment/"+name)
		if broken {
			w.ctl("rollout", "pause", "deployment/"+name)
		}
		w.ctl("set", "image", "deployment/"+name, "main=app:"+w.name("v"))
		return "deployment/" + name, []string{name}
	}},
	{name: "pods refused", says: "the API server refuses the pods", make: func(w *world, broken bool) (string, []string) {
		name, class := w.name("web"), w.name("urgent")
		if !broken {
			w.apply("{apiVersion: scheduling.k8s.io/v1, kind: PriorityClass, metadata: {name: %s}, value: %d}", class, w.between(1, 1000))
		}
		w.apply("%s", deployment(name, w.between(1, 3), "", "priorityClassName: "+class+",", ""))
		return "deployment/" + name, []string{class}
	}},
	{name: "finalizer holds a pod", says: "has to take it off", gone: true, make: func(w *world, broken bool) (string, []string) {
		name, finalizer := w.name("web"), w.name("example.com/backup")
		w.apply("%s", strings.Replace(pod(name, "", ""), "metadata: {", pick(broken, "metadata: {finalizers: ["+finalizer+"], ", "metadata: {"), 1))
		w.until("is well", "pod/"+name)
		w.ctl("delete", "pod", name, "--wait=false")
		return "pod/" + name, []string{finalizer, "example.com has to"}
	}},
	{name: "namespace held by what is in it", says: "has to take it off", gone: true, make: func(w *world, broken bool) (string, []string) {
		name, held, finalizer := w.name("team"), w.name("data"), w.name("example.com/backup")
		w.apply("{apiVersion: v1, kind: Namespace, metadata: {name: %s}}", name)
		w.apply("{apiVersion: v1, kind: ConfigMap, metadata: {name: %s, namespace: %s%s}}", held, name, pick(broken, ", finalizers: ["+finalizer+"]", ""))
		w.ctl("delete", "namespace", name, "--wait=false")
		return "namespace/" + name, []string{"configmap/" + held, finalizer, "-n " + name}
	}},
	{name: "silent node", says: "has said nothing", make: func(w *world, broken bool) (string, []string) {
		node := fmt.Sprintf("n%d", w.between(1, w.nodes))
		if broken {
			w.stop("node/" + node)
		}
		return "node/" + node, []string{"node/" + node}
	}},
	{name: "pod ends on a silent node", says: "has said nothing", gone: true, make: func(w *world, broken bool) (string, []string) {
		name, node := w.name("web"), fmt.Sprintf("n%d", w.between(1, w.nodes))
		w.apply("%s", pod(name, "nodeName: "+node+",", ""))
		w.until("is well", "pod/"+name)
		if broken {
			w.stop("node/" + node)
		}
		w.ctl("delete", "pod", name, "--wait=false")
		return "pod/" + name, []string{"node/" + node, "the agent there has to end it"}
	}},
	{name: "only silent nodes are left", says: "has said nothing", make: func(w *world, broken bool) (string, []string) {
		for i := range w.nodes {
			if broken {
				w.stop(fmt.Sprintf("node/n%d", i+1))
			}
		}
		time.Sleep(pick(broken, time.Duration(w.between(0, 300))*time.Second, 0))
		name := w.name("web")
		w.apply("%s", deployment(name, 1, "", "", ""))
		return "deployment/" + name, []string{name}
	}},
	{name: "node that does not exist", says: "there is no such node", make: func(w *world, broken bool) (string, []string) {
		name, node := w.name("web"), w.name("n")
		w.apply("%s", pod(name, "nodeName: "+pick(broken, node, "n1")+",", ""))
		return "pod/" + name, []string{node}
	}},
	{name: "readiness gate", says: "its readiness gate", make: func(w *world, broken bool) (string, []string) {
		name, gate := w.name("web"), w.name("example.com/ready")
		w.apply("%s", pod(name, pick(broken, fmt.Sprintf("readinessGates: [{conditionType: %s}],", gate), ""), ""))
		return "pod/" + name, []string{gate}
	}},
	{name: "ends by itself", says: "ends by itself with exit code 0", make: func(w *world, broken bool) (string, []string) {
		name := w.name("web")
		rolledOut(w, name, 1, "", "", pick(broken, fmt.Sprintf(`args: ["sim:after=%dms"]`, w.between(1, 999)), "image: app:2"))
		return "deployment/" + name, []string{name}
	}},
}
