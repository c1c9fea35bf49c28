package plugins

import (
	"cmp"
	"maps"
	"math"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"optimist/scheduler/framework"
)

// Fixes: the pod may ask for less, if what is left is not too little for it; or others must go, if the node is large enough.
func (r Resources) Fixes(pod *corev1.Pod, n *framework.Node) (all []framework.Fix) {
	need := framework.RequestsOf(pod)
	for _, name := range slices.Sorted(maps.Keys(need)) {
		left := n.Allocatable[name] - n.Requested[name]
		if need[name] == 0 || need[name] <= left {
			continue
		}
		less, room := ask(pod, name, left), evict(n, name, need[name]-left)
		if 2*left < need[name] && need[name] <= n.Allocatable[name] {
			return append(room, less...)
		}
		return append(less, room...)
	}
	return nil
}

// ask finds a container that can ask for less, the largest first, so that the pod needs no more than what is left.
func ask(pod *corev1.Pod, name corev1.ResourceName, left int64) (fixes []framework.Fix) {
	excess := framework.RequestsOf(pod)[name] - left
	for _, c := range slices.Concat(pod.Spec.Containers, pod.Spec.InitContainers) {
		has := framework.FromList(c.Resources.Requests)[name]
		if has < excess || has == 0 || left < 0 {
			continue
		}
		fix := framework.Fix{Kind: framework.Request, Container: c.Name, Resource: name, Value: framework.Quantity(name, has-excess), Cost: 10 + int(excess*10/has)}
		fixes = append(fixes, fix)
	}
	slices.SortStableFunc(fixes, func(a, b framework.Fix) int { return cmp.Compare(a.Cost, b.Cost) })
	return fixes
}

// evict chooses pods whose going frees enough: unimportant ones first, then the smallest that does it alone, else the largest.
func evict(n *framework.Node, name corev1.ResourceName, enough int64) []framework.Fix {
	uses := func(p *corev1.Pod) int64 { return framework.RequestsOf(p)[name] }
	pods := slices.SortedFunc(slices.Values(n.Pods), func(a, b *corev1.Pod) int {
		alone := func(p *corev1.Pod) int64 { // 0 … : does it alone, the smallest first; above: does not, the largest first
			if u := uses(p); u >= enough {
				return u - enough
			}
			return math.MaxInt64 - uses(p)
		}
		return cmp.Or(cmp.Compare(priority(a), priority(b)), cmp.Compare(alone(a), alone(b)), cmp.Compare(a.Name, b.Name))
	})
	fix := framework.Fix{Kind: framework.Evict, Node: n.Name, Resource: name}
	for _, p := range pods {
		if enough > 0 && uses(p) > 0 {
			enough -= uses(p)
			fix.Pods = append(fix.Pods, p.Namespace+"/"+p.Name)
		}
	}
	if enough > 0 {
		return nil
	}
	fix.Cost = 20 + len(fix.Pods)
	return []framework.Fix{fix}
}

func priority(p *corev1.Pod) int32 {
	if p.Spec.Priority == nil {
		return 0
	}
	return *p.Spec.Priority
}
