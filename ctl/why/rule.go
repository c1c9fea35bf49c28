package why

import (
	"fmt"

	"optimist/internal/api"
)

// Diagnosis is what there is to say about an object.
type Diagnosis struct {
	Object string   `json:"object"`
	Well   bool     `json:"well"`            // it is as it should be; false without a Cause: it is on its way
	State  string   `json:"state,omitempty"` // if there is no Cause: how it is
	Chain  []string `json:"chain,omitempty"` // how the object comes to depend on what the cause is about
	Cause  *Cause   `json:"cause,omitempty"`
}

// Cause is what is the matter.
type Cause struct {
	Name     string   `json:"name"`               // as in the table of rules
	Object   string   `json:"object"`             // what it is about, which need not be what was asked about
	Text     string   `json:"text"`               // one sentence
	Evidence []string `json:"evidence,omitempty"` // what shows it
	Try      []string `json:"try,omitempty"`      // command lines (without "ctl" until For): all of them, one after the other
	Or       []string `json:"or,omitempty"`       // another way

	below []api.Object // not this is the cause, but what is the matter with one of these
}

// rule recognises one cause.
type rule struct {
	Name  string // of the cause; "" = the rule only leads to other objects
	About *api.Kind
	Sees  string // how it is recognised
	Heals string // what the commands do
	find  func(f *Facts, o api.Object) *Cause
}

// on makes a rule about objects of one type.
func on[T api.Object](kind *api.Kind, name, sees, heals string, find func(*Facts, T) *Cause) rule {
	return rule{name, kind, sees, heals, func(f *Facts, o api.Object) *Cause { return find(f, o.(T)) }}
}

// Diagnose asks the rules about an object, in their order.
func Diagnose(f *Facts, o api.Object) Diagnosis {
	for _, r := range rules() {
		if r.About != nil && !r.About.Is(api.Builtin.Of(o)) {
			continue
		}
		c := r.find(f, o)
		if c == nil {
			continue
		}
		if r.Name == "" || len(c.below) > 0 {
			if d, ok := descend(f, o, c); ok {
				return d
			}
			continue
		}
		c.Name = r.Name
		c.Object = name(o)
		return Diagnosis{Object: name(o), Cause: c}
	}
	well, state := stateOf(f, o)
	return Diagnosis{Object: name(o), Well: well, State: state}
}

// descend takes over the cause of the first object below that has one, and says how many more have the same.
func descend(f *Facts, o api.Object, c *Cause) (d Diagnosis, ok bool) {
	var causes []Diagnosis
	for _, b := range c.below {
		if d := Diagnose(f, b); d.Cause != nil {
			causes = append(causes, d)
		}
	}
	if len(causes) == 0 {
		return d, false
	}
	alike := 0
	for _, d := range causes[1:] {
		if d.Cause.Name == causes[0].Cause.Name {
			alike++
		}
	}
	line := fmt.Sprintf("%s waits for %s", name(o), causes[0].Object)
	if c.Text != "" {
		line += ": " + c.Text
	}
	if alike > 0 {
		line += fmt.Sprintf(" (and %d more like it)", alike)
	}
	return Diagnosis{Object: name(o), Chain: append([]string{line}, causes[0].Chain...), Cause: causes[0].Cause}, true
}
