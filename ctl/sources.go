package ctl

import (
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"optimist/internal/api"
)

var sourceFlags = []flag{
	{"from-file", []string(nil), "A file, or [KEY=]FILE, or a folder, each of whose files is a key"},
	{"from-literal", repeated(nil), "KEY=VALUE"},
	{"from-env-file", []string(nil), "A file with a line KEY=VALUE for each key"},
}

func (g *given) sources() (map[string][]byte, error) {
	all := map[string][]byte{}
	add := func(key string, value []byte) error {
		if wrong := validation.IsConfigMapKey(key); len(wrong) > 0 {
			return fmt.Errorf("%q is not a valid key name: %s", key, strings.Join(wrong, ","))
		}
		if _, there := all[key]; there {
			return fmt.Errorf("cannot add key %q, another key by that name already exists", key)
		}
		all[key] = value
		return nil
	}
	files, literals, envs := g.list("from-file"), g.list("from-literal"), g.list("from-env-file")
	if len(envs) > 0 && len(files)+len(literals) > 0 {
		return nil, errors.New("from-env-file cannot be combined with from-file or from-literal")
	}
	for i, from := range []func(string, adder) error{fromFile, fromLiteral, fromEnvFile} {
		for _, text := range [][]string{files, literals, envs}[i] {
			if err := from(text, add); err != nil {
				return nil, err
			}
		}
	}
	return all, nil
}

type adder = func(key string, value []byte) error

func fromLiteral(text string, add adder) error {
	key, value, ok := strings.Cut(text, "=")
	if !ok || key == "" {
		return fmt.Errorf("invalid literal source %v, expected key=value", text)
	}
	return add(key, []byte(value))
}

func fromFile(source string, add adder) error {
	key, path, named := strings.Cut(source, "=")
	switch {
	case !named:
		path, key = source, filepath.Base(source)
	case key == "":
		return fmt.Errorf("key name for file path %v missing", path)
	case path == "":
		return fmt.Errorf("file path for key name %v missing", key)
	case strings.Contains(path, "="):
		return errors.New("key names or file paths cannot contain '='")
	}
	info, err := os.Stat(path)
	if err == nil && info.IsDir() {
		if named {
			return errors.New("cannot give a key name for a directory path")
		}
		return fromFolder(path, add)
	}
	var data []byte
	if err == nil {
		data, err = os.ReadFile(path)
	}
	if err != nil {
		return fmt.Errorf("error reading %s: %w", path, errors.Unwrap(err))
	}
	return add(key, data)
}

// fromFolder takes every file whose name can be a key.
func fromFolder(path string, add adder) error {
	entries, err := os.ReadDir(path)
	for _, e := range entries {
		if info, err := os.Stat(filepath.Join(path, e.Name())); err != nil || !info.Mode().IsRegular() || len(validation.IsConfigMapKey(e.Name())) > 0 {
			continue
		}
		if err := fromFile(filepath.Join(path, e.Name()), add); err != nil {
			return err
		}
	}
	return err
}

// fromEnvFile takes KEY=VALUE of each line; a KEY alone has the value that it has in ctl's own environment.
func fromEnvFile(path string, add adder) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("error reading %s: %w", path, err)
	}
	for line := range strings.Lines(strings.TrimPrefix(string(data), "\ufeff")) {
		line = strings.TrimLeftFunc(strings.TrimRight(line, "\r\n"), unicode.IsSpace)
		key, value, assigned := strings.Cut(line, "=")
		if line == "" || line[0] == '#' {
			continue
		}
		if wrong := validation.IsEnvVarName(key); len(wrong) > 0 {
			return fmt.Errorf("%q is not a valid key name: %s", key, strings.Join(wrong, ";"))
		}
		if !assigned {
			value = os.Getenv(key)
		}
		if err := add(key, []byte(value)); err != nil {
			return err
		}
	}
	return nil
}

func buildConfigMap(g *given) (api.Object, error) {
	o := &corev1.ConfigMap{}
	all, err := g.sources()
	for key, value := range all {
		if utf8.Valid(value) {
			put(&o.Data, key, string(value))
		} else {
			put(&o.BinaryData, key, value)
		}
	}
	return o, err
}

func buildSecret(g *given) (api.Object, error) {
	all, err := g.sources()
	return &corev1.Secret{Type: corev1.SecretType(g.text("type")), Data: all}, err
}

func buildTLS(g *given) (api.Object, error) {
	paths := []string{g.text("cert"), g.text("key")}
	if paths[0] == "" || paths[1] == "" {
		return nil, errors.New("key and cert must be specified")
	}
	var pem [2][]byte
	for i, path := range paths {
		var err error
		if pem[i], err = os.ReadFile(path); err != nil {
			return nil, fmt.Errorf("failed to create secret Cannot read file %v, %w", path, err)
		}
	}
	if _, err := tls.X509KeyPair(pem[0], pem[1]); err != nil {
		return nil, fmt.Errorf("failed to create secret %w", err)
	}
	return &corev1.Secret{Type: corev1.SecretTypeTLS, Data: map[string][]byte{corev1.TLSCertKey: pem[0], corev1.TLSPrivateKeyKey: pem[1]}}, nil
}

func put[K comparable, V any](m *map[K]V, key K, value V) {
	if *m == nil {
		*m = map[K]V{}
	}
	(*m)[key] = value
}

// one is the element of a list that is the right one; if there is none, a fresh one is appended.
func one[T any](list *[]T, fresh T, right func(T) bool) *T {
	i := slices.IndexFunc(*list, right)
	if i < 0 {
		i = len(*list)
		*list = append(*list, fresh)
	}
	return &(*list)[i]
}
