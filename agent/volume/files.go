package volume

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const dataLink = "..data"

// write makes a volume hold exactly these files, all at once. A group may read them, and whatever is made in the volume belongs to it.
func write(dir string, files map[string]file, group *int64) error {
	old, _ := os.Readlink(filepath.Join(dir, dataLink)) // none at first
	now := old
	if old == "" || !holds(filepath.Join(dir, old), files, group) {
		fresh, err := writeNew(dir, files, group)
		if err != nil {
			return errors.Join(err, os.RemoveAll(fresh))
		}
		now = filepath.Base(fresh)
		if err := relink(now, filepath.Join(dir, dataLink)); err != nil {
			return errors.Join(err, os.RemoveAll(fresh))
		}
	}
	return tidy(dir, now, files)
}

// writeNew writes the files into a folder of their own.
func writeNew(dir string, files map[string]file, group *int64) (path string, err error) {
	if path, err = os.MkdirTemp(dir, time.Now().UTC().Format("..2006_01_02_15_04_05.*")); err != nil {
		return path, err
	}
	if err := share(path, 0o755, group); err != nil {
		return path, err
	}
	root, err := os.OpenRoot(path) // no path leads out of it, whatever the API server has let pass
	if err != nil {
		return path, err
	}
	defer root.Close()
	for name, f := range files {
		if err := root.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return path, err
		}
		for d := filepath.Dir(name); d != "."; d = filepath.Dir(d) {
			if err := share(filepath.Join(path, d), 0o755, group); err != nil {
				return path, err
			}
		}
		if err := root.WriteFile(name, f.data, 0o600); err != nil {
			return path, err
		}
		if err := share(filepath.Join(path, name), f.mode, group); err != nil {
			return path, err
		}
	}
	return path, nil
}

// share sets a mode, and lets a group read; a folder of the group's hands it on to what is made inside.
func share(path string, mode os.FileMode, group *int64) error {
	if group != nil {
		info, err := os.Lstat(path)
		if err == nil {
			err = os.Lchown(path, -1, int(*group))
		}
		if err != nil {
			return err
		}
		if mode |= 0o440; info.IsDir() {
			mode |= os.ModeSetgid | 0o110
		}
	}
	return os.Chmod(path, mode)
}

// holds reports whether a folder has these files and no others.
func holds(dir string, files map[string]file, group *int64) bool {
	found := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, _ := filepath.Rel(dir, path)
		f, wanted := files[name]
		if found++; group != nil {
			f.mode |= 0o440
		}
		info, err := d.Info()
		if err != nil || !wanted || info.Mode().Perm() != f.mode.Perm() {
			return fs.ErrInvalid
		}
		if data, err := os.ReadFile(path); err != nil || !bytes.Equal(data, f.data) {
			return fs.ErrInvalid
		}
		return nil
	})
	return err == nil && found == len(files)
}

// relink points a link somewhere else, at once.
func relink(to, link string) error {
	if err := os.Remove(link + "_tmp"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Symlink(to, link+"_tmp"); err != nil {
		return err
	}
	return os.Rename(link+"_tmp", link)
}

// tidy makes the names by which containers find the files, and removes what belongs to earlier contents.
func tidy(dir, now string, files map[string]file) error {
	names := []string{dataLink, now}
	for path := range files {
		top, _, _ := strings.Cut(filepath.ToSlash(filepath.Clean(path)), "/")
		names = append(names, top)
		if err := os.Symlink(filepath.Join(dataLink, top), filepath.Join(dir, top)); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !slices.Contains(names, e.Name()) {
			if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}
