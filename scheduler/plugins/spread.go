package plugins

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"optimist/scheduler/framework"
)

// Spread prefers nodes with fewer pods of the same controller, so that losing a node loses few of them.
type Spread struct{}

func (Spread) Name() string  { return "Spread" }
func (Spread) Weight() int64 { return 2 }

func (Spread) Prepare(pod *corev1.Pod, fitting []*framework.Node) func(*framework.Node) int64 {
	owner := metav1.GetControllerOfNoCopy(pod)
	if owner == nil {
		return func(*framework.Node) int64 { return 0 }
	}
	return fewest(fitting, func(n *framework.Node) int {
		siblings := 0
		for _, p := range n.Pods {
			if o := metav1.GetControllerOfNoCopy(p); o != nil && o.UID == owner.UID {
				siblings++
			}
		}
		return siblings
	})
}

// fewest gives MaxScore to the nodes with the smallest count, 0 to those with the largest, and the rest in proportion.
func fewest(nodes []*framework.Node, count func(*framework.Node) int) func(*framework.Node) int64 {
	counts := make(map[string]int, len(nodes))
	low, high := 1<<30, 0
	for _, n := range nodes {
		c := count(n)
		counts[n.Name], low, high = c, min(low, c), max(high, c)
	}
	return func(n *framework.Node) int64 {
		if high <= low {
			return framework.MaxScore
		}
		return int64(framework.MaxScore * (high - counts[n.Name]) / (high - low))
	}
}
