package why

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"optimist/internal/strict"
)

// op is one operation of a JSON patch. Its path begins at a pod's spec.
type op struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value,omitempty"`
}

// change is the command lines that change what a pod is made from: its Deployment; its ReplicaSet, whose pods then have to be made anew; or the
// pod itself, which has to be replaced, for a running pod is a fact and no plan.
func (f *Facts) change(p *corev1.Pod, verb, flags string) []string {
	if d := f.deploymentOf(p); d != nil {
		return []string{f.in(p.Namespace, fmt.Sprintf("%s %s %s", verb, name(d), flags))}
	}
	if set := f.setOf(p); set != nil {
		return []string{f.in(p.Namespace, fmt.Sprintf("%s %s %s", verb, name(set), flags)), f.in(p.Namespace, "delete "+name(p))}
	}
	return []string{f.in(p.Namespace, fmt.Sprintf("get %s -o json | %s -f - --local %s -o json | replace --force -f -", name(p), verb, flags))}
}

// edit is change with a JSON patch.
func (f *Facts) edit(p *corev1.Pod, ops ...op) []string {
	prefix := "/spec"
	if f.setOf(p) != nil {
		prefix = "/spec/template/spec"
	}
	return f.change(p, "patch", "--type=json -p "+patch(prefix, ops...))
}

// patchPod changes a pod where it stands, for the few fields of which that is allowed; one that has a template gets it there.
func (f *Facts) patchPod(p *corev1.Pod, ops ...op) []string {
	if f.setOf(p) != nil {
		return f.edit(p, ops...)
	}
	return []string{f.in(p.Namespace, fmt.Sprintf("patch %s --type=json -p %s", name(p), patch("/spec", ops...)))}
}

func patch(prefix string, ops ...op) string {
	ops = slices.Clone(ops)
	for i := range ops {
		ops[i].Path = prefix + ops[i].Path
	}
	return quoted(ops)
}

// quoted is a value as JSON for a shell.
func quoted(v any) string {
	text, _ := json.Marshal(v) // of such values this never fails
	return "'" + strings.ReplaceAll(string(text), "'", `'\''`) + "'"
}

// pointer is a key as a step of a JSON pointer.
func pointer(key string) string {
	return "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(key)
}

// undo goes back to the revision before; none if there is none.
func (f *Facts) undo(p *corev1.Pod) []string {
	if d := f.deploymentOf(p); d != nil {
		return f.undoDeployment(d)
	}
	return nil
}

// undoDeployment does not go back to a revision of which it is known that it was no better.
func (f *Facts) undoDeployment(d *appsv1.Deployment) []string {
	revision := func(set *appsv1.ReplicaSet) int {
		n, _ := strconv.Atoi(set.Annotations["deployment.kubernetes.io/revision"])
		return n
	}
	sets := slices.SortedFunc(slices.Values(ownedBy[*appsv1.ReplicaSet](f, d.UID)), func(a, b *appsv1.ReplicaSet) int { return revision(b) - revision(a) })
	if len(sets) < 2 || revision(sets[1]) == 0 || sets[1].Status.Replicas > 0 && sets[1].Status.AvailableReplicas == 0 {
		return nil
	}
	return []string{f.in(d.Namespace, "rollout undo "+name(d))}
}

// otherImage names the image that was probably meant: one that a node has and that is called almost so.
func (f *Facts) otherImage(t trouble) []string {
	short := func(image string) string {
		return strings.TrimPrefix(strings.TrimPrefix(image, "docker.io/"), "library/")
	}
	candidates := map[string]string{}
	var names []string
	for _, image := range f.Images {
		candidates[short(image)] = image
		names = append(names, short(image))
	}
	near := strict.Nearest(short(t.spec.Image), names)
	if near == "" || near == short(t.spec.Image) {
		return nil
	}
	o := name(t.pod)
	if d := f.deploymentOf(t.pod); d != nil {
		o = name(d)
	}
	return []string{f.in(t.pod.Namespace, fmt.Sprintf("set image %s %s=%s", o, t.spec.Name, near))}
}

// firstOf is the first of several ways that exists, and the second as another.
func firstOf(ways ...[]string) (try, or []string) {
	ways = slices.DeleteFunc(ways, func(way []string) bool { return len(way) == 0 })
	switch len(ways) {
	case 0:
		return nil, nil
	case 1:
		return ways[0], nil
	}
	return ways[0], ways[1]
}
