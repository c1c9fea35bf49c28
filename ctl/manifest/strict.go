package manifest

import (
	"errors"
	"slices"

	"optimist/internal/api"
	"optimist/internal/strict"
)

// check holds a document against its kind's type: everything in it that does not fit, each with its line.
func (o Options) check(p parsed, kind *api.Kind, version string) []error {
	typed, err := kind.New(version)
	if err != nil {
		return []error{&Fault{Source: p.source, Err: err}}
	}
	found, err := strict.Inspect(p.json, typed)
	if err != nil {
		return []error{&Fault{Source: p.source, Err: err}}
	}
	switch o.Validation {
	case api.Warn:
		for _, f := range p.located(found.Loose) {
			o.Warn(f.Error())
		}
	case api.Strict, "":
		found.Wrong = append(found.Loose, found.Wrong...)
	}
	return p.located(found.Wrong)
}

// located finds the line that each faulty field stands on, and puts the faults in the order of their lines.
func (p parsed) located(found []strict.Fault) []error {
	var faults []*Fault
	for _, f := range found {
		at := p.source
		at.Line = lineOf(p.node, f.Path, at.Line)
		faults = append(faults, &Fault{Source: at, Err: errors.New(f.Text)})
	}
	slices.SortStableFunc(faults, func(a, b *Fault) int { return a.Source.Line - b.Source.Line })
	var errs []error
	for _, f := range faults {
		errs = append(errs, f)
	}
	return errs
}
