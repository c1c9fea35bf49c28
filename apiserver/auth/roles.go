package auth

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"

	"optimist/internal/api"
)

type Role struct {
	User  string `json:"user"`
	Rules []Rule `json:"rules"`
}

// Rule allows verbs on a kind. Verbs are Kubernetes': a connect is "get" (log, images, decisions) or "create" (exec, attach).
type Rule struct {
	Group     string     `json:"group,omitempty"`
	Kind      string     `json:"kind"`          // "*" = any of any group
	Sub       string     `json:"sub,omitempty"` // "" is the object itself; its subresources need rules of their own
	Verbs     []api.Verb `json:"verbs"`
	Namespace string     `json:"namespace,omitempty"` // "" = all
	Name      string     `json:"name,omitempty"`      // "" = all
	Scope     string     `json:"scope,omitempty"`     // of nodes' rules: see node.go
}

func (r Rule) allows(v api.Verb, t api.Target) bool {
	return (r.Kind == "*" || r.Kind == t.Kind.Name && r.Group == t.Kind.Group) && r.Sub == t.Sub && slices.Contains(r.Verbs, v) &&
		(r.Namespace == "" || r.Namespace == t.Key.Namespace) && (r.Name == "" || r.Name == t.Key.Name)
}

// Roles are the rules of each user.
type Roles map[string][]Rule

// generated is made from the controllers' declarations; system is written by hand.
var (
	//go:embed roles.yaml
	generated []byte
	//go:embed system.yaml
	system []byte
)

// Builtin are the roles that this version is built with.
func Builtin() (Roles, error) {
	all := Roles{}
	for file, data := range map[string][]byte{"roles.yaml": generated, "system.yaml": system} {
		if err := all.read(data); err != nil {
			return nil, fmt.Errorf("apiserver/auth/%s: %w", file, err)
		}
	}
	return all, nil
}

func (r Roles) read(data []byte) error {
	var list []Role
	if err := yaml.UnmarshalStrict(data, &list); err != nil {
		return err
	}
	for _, role := range list {
		r[role.User] = append(r[role.User], role.Rules...)
	}
	return nil
}

func (r Roles) allow(user string, v api.Verb, t api.Target) bool {
	return slices.ContainsFunc(r[user], func(rule Rule) bool { return rule.Scope == "" && rule.allows(v, t) })
}

// Controllers are the names of the controllers that have a role: each needs a certificate.
func (r Roles) Controllers() []string {
	var names []string
	for user := range r {
		if name, ok := strings.CutPrefix(user, api.ControllerPrefix); ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
