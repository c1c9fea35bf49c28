package why

import (
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"optimist/internal/api"
)

// Facts are all that a diagnosis looks at.
type Facts struct {
	Now     time.Time
	Objects []api.Object
	Absent  []string            // who keeps no connection to the API server: "scheduler", "controllers", "node/n1"
	Logs    map[string][]string // last lines of the last run, by "pod/container"
	Matrix  map[string]*Matrix  // of pods that wait for a node, by name
	Images  []string            // names of the images that nodes have
	Home    string              // the namespace in which commands are understood without -n
	Start   string              // how ctl starts what has ended: "start", or "start --name mine"
	Parts   bool                // a simulated cluster: its parts are started one by one
	Mend    map[string]string   // for nodes that were cut off or stopped on purpose, the command that undoes it
}

// start is the command that brings a part of the cluster back.
func (f *Facts) start(part string) []string {
	if undo := f.Mend[part]; undo != "" {
		return []string{undo}
	}
	if f.Parts {
		return []string{strings.Replace(f.Start, "start", "part start "+part, 1)}
	}
	return []string{f.Start}
}

// every lists the objects of a type that a condition selects.
func every[T api.Object](f *Facts, is func(T) bool) (all []T) {
	for _, o := range f.Objects {
		if t, ok := o.(T); ok && is(t) {
			all = append(all, t)
		}
	}
	return all
}

// get finds an object by its key; the zero T if it is not among the facts.
func get[T api.Object](f *Facts, key api.Key) (none T) {
	if found := every(f, func(o T) bool { return api.KeyOf(o) == key }); len(found) > 0 {
		return found[0]
	}
	return none
}

func ownedBy[T api.Object](f *Facts, uid types.UID) []T {
	return every(f, func(o T) bool {
		owner := metav1.GetControllerOf(o)
		return owner != nil && owner.UID == uid
	})
}

func (f *Facts) node(name string) *corev1.Node { return get[*corev1.Node](f, api.Key{Name: name}) }

func (f *Facts) absent(component string) bool { return slices.Contains(f.Absent, component) }

// heard is when a node's agent last renewed its lease; zero if it never has.
func (f *Facts) heard(node string) time.Time {
	l := get[*coordinationv1.Lease](f, api.Key{Namespace: corev1.NamespaceNodeLease, Name: node})
	if l == nil || l.Spec.RenewTime == nil {
		return time.Time{}
	}
	return l.Spec.RenewTime.Time
}

// setOf is the ReplicaSet that a pod belongs to, and deploymentOf the Deployment behind it; nil if there is none.
func (f *Facts) setOf(p *corev1.Pod) *appsv1.ReplicaSet {
	return owner[*appsv1.ReplicaSet](f, p)
}

func (f *Facts) deploymentOf(p *corev1.Pod) *appsv1.Deployment {
	if set := f.setOf(p); set != nil {
		return owner[*appsv1.Deployment](f, set)
	}
	return nil
}

func owner[T api.Object](f *Facts, child metav1.Object) (none T) {
	ref := metav1.GetControllerOf(child)
	found := every(f, func(o T) bool { return ref != nil && o.GetUID() == ref.UID })
	if len(found) == 0 {
		return none
	}
	return found[0]
}

// warnings are the warning events about an object, the newest first.
func (f *Facts) warnings(o api.Object) []*corev1.Event {
	all := every(f, func(e *corev1.Event) bool {
		return e.Type == corev1.EventTypeWarning && e.InvolvedObject.UID == o.GetUID()
	})
	slices.SortStableFunc(all, func(a, b *corev1.Event) int { return b.LastTimestamp.Compare(a.LastTimestamp.Time) })
	return all
}

// name is an object as ctl's arguments name it: deployment/web.
func name(o api.Object) string { return api.Builtin.Of(o).Singular + "/" + o.GetName() }

// in completes a command about something in a namespace.
func (f *Facts) in(namespace, command string) string {
	if namespace == "" || namespace == f.Home {
		return command
	}
	if rest, ok := strings.CutPrefix(command, "get "); ok && strings.Contains(command, " | ") {
		return strings.Replace("get "+rest, " | ", " -n "+namespace+" | ", 1) // what is handed on says itself where it belongs
	}
	return command + " -n " + namespace
}
