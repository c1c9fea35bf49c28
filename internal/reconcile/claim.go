package reconcile

import (
	"fmt"
	"hash/fnv"
	"strconv"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"optimist/internal/api"
)

// Claim finds which candidates the owner controls, and plans to adopt orphans that its selector matches and to release what it no longer
// matches. Adopting first makes sure that the owner still exists: an orphan adopted by a ghost would be collected as garbage.
func Claim[T api.Object](owner api.Object, sel labels.Selector, kind *api.Kind, candidates []T) (mine []T, steps []Action) {
	for _, o := range candidates {
		ref, matches := metav1.GetControllerOfNoCopy(o), sel.Matches(labels.Set(o.GetLabels()))
		switch {
		case ref != nil && ref.UID != owner.GetUID():
		case ref != nil && matches:
			mine = append(mine, o)
		case owner.GetDeletionTimestamp() != nil || o.GetDeletionTimestamp() != nil:
		case ref != nil:
			steps = append(steps, Patch(kind, o, fmt.Sprintf(`{"metadata":{"ownerReferences":[{"$patch":"delete","uid":%q}]}}`, owner.GetUID()),
				"its labels no longer match the selector", nil))
		case matches:
			a := Patch(kind, o, adoption(owner), "nobody controls it, and its labels match the selector", nil)
			a.Fresh = true
			steps = append(steps, a)
		}
	}
	return mine, steps
}

func adoption(owner api.Object) string {
	k := api.Builtin.Of(owner)
	version, name := k.GVK("").ToAPIVersionAndKind()
	return fmt.Sprintf(`{"metadata":{"ownerReferences":[{"apiVersion":%q,"kind":%q,"name":%q,"uid":%q,"controller":true,"blockOwnerDeletion":true}]}}`,
		version, name, owner.GetName(), owner.GetUID())
}

// OwnerRef is the reference by which a new child names the owner that controls it.
func OwnerRef(owner api.Object) metav1.OwnerReference {
	return *metav1.NewControllerRef(owner, api.Builtin.Of(owner).GVK(""))
}

// alphabet has no vowels, lest names become words, nor what looks alike: as in Kubernetes.
const alphabet = "bcdfghjklmnpqrstvwxz2456789"

// ChildName is the name of an owner's n-th child: the owner's name and five characters that follow from its uid and n (law 10).
func ChildName(owner api.Object, n int) string {
	h := fnv.New64a()
	h.Write([]byte(string(owner.GetUID()) + "/" + strconv.Itoa(n)))
	sum, suffix := h.Sum64(), make([]byte, 5)
	for i := range suffix {
		suffix[i] = alphabet[sum%uint64(len(alphabet))]
		sum /= uint64(len(alphabet))
	}
	base := owner.GetName()
	return base[:min(len(base), 57)] + "-" + string(suffix) // a Pod's name is also its host name: 63 characters
}
