package manifest

import (
	"fmt"
	"io"
	"os"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"optimist/internal/api"
)

// Source is where a document was read.
type Source struct {
	File     string
	Line     int // where the document (or the faulty field) stands
	Document int // counted from 1; 0 when the file holds only one
}

// String is "web.yaml", or "web.yaml:14 (document 2)" where that says more.
func (s Source) String() string {
	if s.Document == 0 {
		return s.File
	}
	return fmt.Sprintf("%s:%d (document %d)", s.File, s.Line, s.Document)
}

// Document is one object as its author wrote it.
type Document struct {
	Source  Source
	Kind    *api.Kind
	Version string
	Object  *unstructured.Unstructured
}

// Fault is what is wrong with one document.
type Fault struct {
	Source Source
	Err    error
}

func (f *Fault) Error() string {
	if f.Source.Document == 0 && f.Source.Line > 0 {
		return fmt.Sprintf("%s:%d: %v", f.Source.File, f.Source.Line, f.Err)
	}
	return fmt.Sprintf("%s: %v", f.Source, f.Err)
}

func (f *Fault) Unwrap() error { return f.Err }

// Options say how to read.
type Options struct {
	Catalogue  *api.Catalogue
	Recursive  bool                // folders with what lies below them
	Stdin      io.Reader           // what the path "-" means
	Validation api.FieldValidation // "" = Strict: unknown fields are faults
	Warn       func(string)        // told of unknown fields under api.Warn
}

// Read returns the documents of all paths, and beside them everything that was wrong.
func Read(paths []string, o Options) ([]Document, []error) {
	var documents []Document
	var faults []error
	for _, path := range paths {
		d, f := o.path(path)
		documents, faults = append(documents, d...), append(faults, f...)
	}
	return documents, faults
}

func (o Options) path(path string) ([]Document, []error) {
	if path == "-" {
		data, err := io.ReadAll(o.Stdin)
		if err != nil {
			return nil, []error{fmt.Errorf("read standard input: %w", err)}
		}
		return o.Parse("STDIN", data)
	}
	files, err := find(path, o.Recursive)
	if err != nil {
		return nil, []error{err}
	}
	var documents []Document
	var faults []error
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		d, f := o.Parse(file, data)
		documents, faults = append(documents, d...), append(faults, f...)
	}
	return documents, faults
}

// Parse reads the documents of one file's text.
func (o Options) Parse(file string, data []byte) ([]Document, []error) {
	var documents []Document
	var faults []error
	parsed := parseAll(file, split(data))
	for _, p := range parsed {
		d, f := o.objects(p)
		documents, faults = append(documents, d...), append(faults, f...)
	}
	return documents, faults
}
