package logs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
)

// generations opens all files of a log, oldest first. What was rotated meanwhile is met twice, under its old name and its new.
func generations(path string) ([]*os.File, error) {
	var files []*os.File
	name := path
	for i := 1; ; i++ {
		f, err := os.Open(name)
		switch {
		case errors.Is(err, fs.ErrNotExist) && name == path: // not yet, or between two steps of a rotation
		case errors.Is(err, fs.ErrNotExist):
			return files, nil
		case err != nil:
			closeAll(files)
			return nil, err
		case len(files) > 0 && same(f, files[0]):
			f.Close()
		default:
			files = append([]*os.File{f}, files...)
		}
		name = fmt.Sprintf("%s.%d", path, i)
	}
}

func same(a, b *os.File) bool {
	infoA, errA := a.Stat()
	infoB, errB := b.Stat()
	return errA == nil && errB == nil && os.SameFile(infoA, infoB)
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}

// successor opens the file that follows current, nil when current is the newest. Of none, and of what was rotated out of existence, the
// successor is the oldest that is left.
func successor(path string, current *os.File) (*os.File, error) {
	files, err := generations(path)
	if err != nil {
		return nil, err
	}
	next := 0
	if current != nil {
		next = 1 + slices.IndexFunc(files, func(f *os.File) bool { return same(f, current) })
	}
	return only(files, next), nil
}

// only keeps one of the files, if it exists.
func only(files []*os.File, i int) *os.File {
	if i >= len(files) {
		closeAll(files)
		return nil
	}
	closeAll(slices.Concat(files[:i], files[i+1:]))
	return files[i]
}

// tail opens the file in which the last n lines begin, where they do. It reads backwards, only as far as it must.
func tail(path string, n int64) (*os.File, error) {
	files, err := generations(path)
	for i := len(files) - 1; i >= 0; i-- {
		var found int64
		if found, err = seekTail(files[i], n); err != nil {
			closeAll(files)
			return nil, err
		}
		if n -= found; n <= 0 || i == 0 {
			return only(files, i), nil
		}
	}
	return nil, err
}

// seekTail moves to where the last n lines begin, or to the start; it returns how many lines follow.
func seekTail(f *os.File, n int64) (found int64, err error) {
	at, err := f.Seek(0, io.SeekEnd)
	if err != nil || n == 0 {
		return 0, err
	}
	block := make([]byte, 64<<10)
	for at > 0 {
		size := min(at, int64(len(block)))
		at -= size
		if _, err := f.ReadAt(block[:size], at); err != nil {
			return 0, err
		}
		for i := size - 1; i >= 0; i-- {
			if block[i] != '\n' {
				continue
			}
			if found == n {
				_, err = f.Seek(at+i+1, io.SeekStart)
				return n, err
			}
			found++
		}
	}
	_, err = f.Seek(0, io.SeekStart)
	return found, err
}
