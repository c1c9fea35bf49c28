package kinds

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"optimist/apiserver/registry"
	"optimist/apiserver/store"
	"optimist/internal/api"
)

func priorityClassRules() registry.Rules {
	type class = schedulingv1.PriorityClass
	r := stored(api.PriorityClassKind, func(_ string, c, old *class) field.ErrorList {
		return append(when(c.Value != old.Value, field.Forbidden(field.NewPath("value"), "may not be changed in an update.")),
			immutable(field.NewPath("preemptionPolicy"), c.PreemptionPolicy, old.PreemptionPolicy)...)
	}, counted[*class]("Value", "value", "The priority that pods of the class get."),
		flag[*class]("Global-Default", "globalDefault", false, "Whether pods that name no class get this one."),
		registry.AgeColumn,
		shown[*class]("PreemptionPolicy", "preemptionPolicy", "", "Whether pods of the class may displace others."))
	r.Claims = claimPriorityClass
	return r
}

const (
	systemPriorityPrefix = "system-"
	highestUserPriority  = 1_000_000_000
)

var priorityClassChecks = []rule{
	fields[schedulingv1.PriorityClass]("preemptionPolicy", oneOf(corev1.PreemptLowerPriority, corev1.PreemptNever)),
	each(func(_ *field.Path, c *schedulingv1.PriorityClass) field.ErrorList {
		system := strings.HasPrefix(c.Name, systemPriorityPrefix)
		ours := slices.ContainsFunc(registry.SystemClasses, func(s *schedulingv1.PriorityClass) bool { return s.Name == c.Name && s.Value == c.Value })
		return append(when(system && !ours, field.Forbidden(field.NewPath("metadata", "name"),
			fmt.Sprintf("priority class names with '%s' prefix are reserved for system use only", systemPriorityPrefix))),
			when(!system && c.Value > highestUserPriority, field.Forbidden(field.NewPath("value"), fmt.Sprintf("maximum allowed value of a user defined priority is %d", highestUserPriority)))...)
	}),
}

const (
	priorityClasses      = "/claims/priorityclass/"
	defaultPriorityClass = "/claims/priorityclass-default"
)

// priority is what a pod takes from its class.
type priority struct {
	Value      int32                   `json:"value"`
	Preemption corev1.PreemptionPolicy `json:"preemption"`
}

// claimPriorityClass writes down for pods what the class means, and sees to it that only one is the default.
func claimPriorityClass(ctx context.Context, c registry.Claimer, before, after api.Object) (store.Txn, error) {
	old, now := of[schedulingv1.PriorityClass](before), of[schedulingv1.PriorityClass](after)
	l := newLedger(c.Store, before, after)
	if old.GlobalDefault {
		l.held[defaultPriorityClass] = true
	}
	if now.GlobalDefault {
		other, err := c.Store.Get(ctx, defaultPriorityClass, 0)
		if err == nil {
			err = l.take(ctx, defaultPriorityClass, apierrors.NewForbidden(api.PriorityClassKind.Resource(), now.Name,
				fmt.Errorf("PriorityClass %s is already marked as default. Only one default can exist", other.Value)))
		}
		if err != nil {
			return store.Txn{}, err
		}
	}
	txn := l.txn()
	if after == nil {
		txn.Do = append(txn.Do, store.Op{Key: priorityClasses + old.Name})
	}
	if before != nil {
		return txn, nil
	}
	value, err := json.Marshal(priority{Value: now.Value, Preemption: deref(now.PreemptionPolicy)})
	txn.Do = append(txn.Do, store.Op{Key: priorityClasses + now.Name, Value: value})
	return txn, err
}

// claimPod claims nothing: it looks up what the pod's priority class means while the pod is created.
func claimPod(ctx context.Context, c registry.Claimer, before, after api.Object) (store.Txn, error) {
	p := of[corev1.Pod](after)
	if before != nil || after == nil {
		return store.Txn{}, nil
	}
	if p.Spec.PriorityClassName == "" {
		e, err := c.Store.Get(ctx, defaultPriorityClass, 0)
		if err != nil {
			return store.Txn{}, err
		}
		p.Spec.PriorityClassName = string(e.Value)
	}
	class := priority{Preemption: corev1.PreemptLowerPriority}
	if name := p.Spec.PriorityClassName; name != "" {
		e, err := c.Store.Get(ctx, priorityClasses+name, 0)
		if err != nil {
			return store.Txn{}, err
		}
		if e.Mod == 0 {
			return store.Txn{}, podForbidden(p, "no PriorityClass with name %s was found", name)
		}
		if err := json.Unmarshal(e.Value, &class); err != nil {
			return store.Txn{}, err
		}
	}
	return store.Txn{}, setPriority(p, class)
}

// setPriority refuses a pod that claims another priority than its class gives.
func setPriority(p *corev1.Pod, class priority) error {
	const refusal = "the %s (%v) must not be provided in pod spec; priority admission controller computed %v from the given PriorityClass name"
	if have := p.Spec.Priority; have != nil && *have != class.Value {
		return podForbidden(p, refusal, "integer value of priority", *have, class.Value)
	}
	if have := p.Spec.PreemptionPolicy; have != nil && *have != class.Preemption {
		return podForbidden(p, refusal, "string value of PreemptionPolicy", *have, class.Preemption)
	}
	p.Spec.Priority, p.Spec.PreemptionPolicy = &class.Value, &class.Preemption
	return nil
}

func podForbidden(p *corev1.Pod, format string, values ...any) error {
	return apierrors.NewForbidden(api.PodKind.Resource(), p.Name, fmt.Errorf(format, values...))
}
