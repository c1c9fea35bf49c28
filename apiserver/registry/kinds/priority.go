package kinds

import (
	"context"
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"optimist/apiserver/registry"
	"optimist/apiserver/store"
	"optimist/internal/api"
)

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
	old, now := of[*schedulingv1.PriorityClass](before), of[*schedulingv1.PriorityClass](after)
	var held []string
	if old != nil && old.GlobalDefault {
		held = []string{defaultPriorityClass}
	}
	l := newLedger(c.Store, nameOf(before, after), held)
	if now == nil {
		txn := l.txn()
		txn.Do = append(txn.Do, store.Op{Key: priorityClasses + old.Name})
		return txn, nil
	}
	if now.GlobalDefault {
		if err := takeDefault(ctx, l, now.Name); err != nil {
			return store.Txn{}, err
		}
	}
	txn := l.txn()
	if old == nil {
		value, err := json.Marshal(priority{Value: now.Value, Preemption: deref(now.PreemptionPolicy)})
		if err != nil {
			return store.Txn{}, err
		}
		txn.Do = append(txn.Do, store.Op{Key: priorityClasses + now.Name, Value: value})
	}
	return txn, nil
}

func takeDefault(ctx context.Context, l *ledger, name string) error {
	ok, err := l.take(ctx, defaultPriorityClass)
	if err != nil || ok {
		return err
	}
	other, err := l.store.Get(ctx, defaultPriorityClass, 0)
	if err != nil {
		return err
	}
	return apierrors.NewForbidden(api.PriorityClassKind.Resource(), name,
		fmt.Errorf("PriorityClass %s is already marked as default. Only one default can exist", other.Value))
}

// claimPod claims nothing: it looks up what the pod's priority class means while the pod is created.
func claimPod(ctx context.Context, c registry.Claimer, before, after api.Object) (store.Txn, error) {
	p := of[*corev1.Pod](after)
	if before != nil || p == nil {
		return store.Txn{}, nil
	}
	if p.Spec.PriorityClassName == "" {
		e, err := c.Store.Get(ctx, defaultPriorityClass, 0)
		if err != nil {
			return store.Txn{}, err
		}
		p.Spec.PriorityClassName = string(e.Value)
	}
	class, err := lookUpPriority(ctx, c.Store, p)
	if err != nil {
		return store.Txn{}, err
	}
	return store.Txn{}, setPriority(p, class)
}

func lookUpPriority(ctx context.Context, s store.Store, p *corev1.Pod) (priority, error) {
	class, name := priority{Preemption: corev1.PreemptLowerPriority}, p.Spec.PriorityClassName
	if name == "" {
		return class, nil
	}
	e, err := s.Get(ctx, priorityClasses+name, 0)
	if err != nil {
		return class, err
	}
	if e.Mod == 0 {
		return class, podForbidden(p, fmt.Errorf("no PriorityClass with name %s was found", name))
	}
	return class, json.Unmarshal(e.Value, &class)
}

// setPriority refuses a pod that claims another priority than its class gives.
func setPriority(p *corev1.Pod, class priority) error {
	if have := p.Spec.Priority; have != nil && *have != class.Value {
		return podForbidden(p, fmt.Errorf("the integer value of priority (%d) must not be provided in pod spec; priority admission controller computed %d from the given PriorityClass name", *have, class.Value))
	}
	if have := p.Spec.PreemptionPolicy; have != nil && *have != class.Preemption {
		return podForbidden(p, fmt.Errorf("the string value of PreemptionPolicy (%s) must not be provided in pod spec; priority admission controller computed %s from the given PriorityClass name", *have, class.Preemption))
	}
	p.Spec.Priority, p.Spec.PreemptionPolicy = &class.Value, &class.Preemption
	return nil
}

func podForbidden(p *corev1.Pod, why error) error {
	return apierrors.NewForbidden(api.PodKind.Resource(), p.Name, why)
}
