package lab

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"optimist/ctl/manifest"
	"optimist/internal/api"
)

// Lab is one of them.
type Lab struct {
	Number   int
	Title    string
	Page     string // where it is described
	Real     bool   // it needs real containers on three nodes of this machine
	Question string // to be answered before the experiment that answers it
	Answers  []string
	Steps    []Step
}

// Step is something to do, and how it is seen that it was done.
type Step struct {
	Text string // what is so once it is done
	Hint string // how to get there
	Done func(look) bool
}

// Result is a step as it was found.
type Result struct {
	Text, Hint string
	Done       bool
}

//go:embed setup
var setup embed.FS

// Find returns a lab by its number, as people type it.
func Find(number string) (Lab, error) {
	n, err := strconv.Atoi(number)
	if err != nil || n < 1 || n > len(All()) {
		return Lab{}, fmt.Errorf("there is no lab %q: there are 1 to %d (ctl lab list)", number, len(All()))
	}
	return All()[n-1], nil
}

// Namespace is where the lab takes place.
func (l Lab) Namespace() string { return fmt.Sprintf("lab-%d", l.Number) }

// Begin makes the namespace and what there is before the first step. What is there already is left as it is.
func (l Lab) Begin(ctx context.Context, svc api.Service) error {
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: l.Namespace(), Annotations: map[string]string{}}}
	for name, key := range leases {
		turns, err := transitions(ctx, svc, key)
		if err != nil {
			return err
		}
		ns.Annotations[before(name)] = strconv.Itoa(turns)
	}
	if _, err := api.Namespaces.Create(ctx, svc, ns); err != nil && !apierrors.IsAlreadyExists(err) {
		return err
	}
	file := fmt.Sprintf("setup/%d.yaml", l.Number)
	data, err := setup.ReadFile(file)
	if err != nil {
		return err
	}
	documents, faults := manifest.Options{Catalogue: api.Builtin}.Parse(file, data)
	for _, d := range documents {
		faults = append(faults, l.create(ctx, svc, d))
	}
	return errors.Join(faults...)
}

func (l Lab) create(ctx context.Context, svc api.Service, d manifest.Document) error {
	data, err := d.Object.MarshalJSON()
	if err != nil {
		return err
	}
	_, err = svc.Write(ctx, api.Request{Target: api.Target{Kind: d.Kind, Key: api.Key{Namespace: l.Namespace(), Name: d.Object.GetName()}},
		Verb: api.VerbCreate, Raw: &api.Raw{MediaType: "application/json", Data: data}})
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}

// End asks for the namespace's end and returns its uid; "" when there is none.
func (l Lab) End(ctx context.Context, svc api.Service) (types.UID, error) {
	ns, err := api.Namespaces.Get(ctx, svc, api.Key{Name: l.Namespace()})
	switch {
	case apierrors.IsNotFound(err):
		return "", nil
	case err != nil:
		return "", err
	case ns.Annotations[before("scheduler")] == "":
		return "", fmt.Errorf("namespace %s was not made by ctl lab start: delete it yourself if you mean it (ctl delete namespace %s)", l.Namespace(), l.Namespace())
	}
	return ns.UID, api.Namespaces.Delete(ctx, svc, api.KeyOf(ns), api.Options{Pre: api.Preconditions{UID: ns.UID}})
}

// ErrNotBegun is wrapped when the lab's namespace is not there.
var ErrNotBegun = errors.New("it has not been started in this cluster")

// Check reads the cluster and judges each step, and the answer. log is the API server's, of a real one n1's agent's.
func (l Lab) Check(ctx context.Context, svc api.Service, log []byte, answer string) ([]Result, error) {
	at, err := read(ctx, svc, l.Namespace(), log)
	if err != nil {
		return nil, err
	}
	var all []Result
	for _, s := range l.Steps {
		all = append(all, Result{s.Text, s.Hint, s.Done(at)})
	}
	hint := fmt.Sprintf("ctl lab check %d --answer '…'", l.Number)
	if answer != "" {
		hint = fmt.Sprintf("%q is not it: look again at %s", answer, l.Page)
	}
	return append(all, Result{"the question: " + l.Question, hint, l.right(answer)}), nil
}

// right forgives capitals and articles.
func (l Lab) right(answer string) bool {
	words := strings.Fields(strings.ToLower(strings.Trim(answer, " .!'\"")))
	words = slices.DeleteFunc(words, func(w string) bool { return w == "the" || w == "a" || w == "controller" || w == "pods" })
	return slices.Contains(l.Answers, strings.Join(words, " "))
}
