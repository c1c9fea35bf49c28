package manifest

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

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
	Warn       func(string)        // told of old versions, and under api.Warn of unknown fields
}

// Read returns the documents of all paths, and beside them everything that was wrong.
func Read(paths []string, o Options) ([]Document, []error) {
	r := &reader{Options: o}
	for _, path := range paths {
		if path == "-" {
			data, err := io.ReadAll(o.Stdin)
			r.file("STDIN", data, err)
			continue
		}
		files, err := find(path, o.Recursive)
		r.fault(err)
		for _, file := range files {
			data, err := os.ReadFile(file)
			r.file(file, data, err)
		}
	}
	return r.documents, r.faults
}

// Parse reads the documents of one file's text.
func (o Options) Parse(file string, data []byte) ([]Document, []error) {
	r := &reader{Options: o}
	r.file(file, data, nil)
	return r.documents, r.faults
}

// reader gathers what it reads and what is wrong with it.
type reader struct {
	Options
	documents []Document
	faults    []error
}

func (r *reader) fault(err error) {
	if err != nil {
		r.faults = append(r.faults, err)
	}
}

var extensions = []string{".yaml", ".yml", ".json"}

// find returns the files that a path given with -f stands for: itself, or what lies in the folder.
func find(path string, recursive bool) ([]string, error) {
	if strings.HasPrefix(path, "http://") || strings.HasPrefix(path, "https://") {
		return nil, fmt.Errorf("%s: addresses are not read; fetch the file yourself, look at it, and pass it with -f", path)
	}
	info, err := os.Stat(path)
	if os.IsNotExist(err) {
		return nil, fmt.Errorf("the path %q does not exist", path)
	}
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return []string{path}, nil
	}
	var files []string
	err = filepath.WalkDir(path, func(at string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && at != path && !recursive:
			return filepath.SkipDir
		case !entry.IsDir() && slices.Contains(extensions, strings.ToLower(filepath.Ext(at))):
			files = append(files, at)
		}
		return nil
	})
	if err == nil && len(files) == 0 {
		err = fmt.Errorf("error reading [%s]: recognized file extensions are [.json .yaml .yml]", path)
	}
	return files, err
}
