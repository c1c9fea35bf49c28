package logs

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// longestEntry bounds what a reader holds: the logger cuts at 16 KiB, so anything near it is not an entry.
const longestEntry = 1 << 20

// cursor reads entries' lines of one file. At its end it keeps what it has of a line that is still being written.
type cursor struct {
	file *os.File
	in   *bufio.Reader
	part []byte
}

func newCursor(f *os.File) *cursor { return &cursor{file: f, in: bufio.NewReaderSize(f, 32<<10)} }

// next returns a line without its newline, valid until the following call, or io.EOF; later there may be more.
func (c *cursor) next() ([]byte, error) {
	if bytes.HasSuffix(c.part, []byte("\n")) {
		c.part = c.part[:0]
	}
	for {
		piece, err := c.in.ReadSlice('\n')
		c.part = append(c.part, piece...)
		switch {
		case err == nil:
			return c.part[:len(c.part)-1], nil
		case len(c.part) > longestEntry:
			c.part = c.part[:0]
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, err
		}
	}
}

// generations opens all files of a log, oldest first. A rotation in between shows as a file met twice: then it looks again.
func generations(path string) ([]*os.File, error) {
	for {
		files, err := openAll(path)
		if err != nil {
			return nil, err
		}
		if !anyTwice(files) {
			return files, nil
		}
		closeAll(files)
	}
}

func openAll(path string) ([]*os.File, error) {
	var files []*os.File
	for i := 0; ; i++ {
		name := path
		if i > 0 {
			name = fmt.Sprintf("%s.%d", path, i)
		}
		f, err := os.Open(name)
		if errors.Is(err, fs.ErrNotExist) && i > 0 {
			return files, nil
		}
		if errors.Is(err, fs.ErrNotExist) {
			continue // between two steps of a rotation
		}
		if err != nil {
			closeAll(files)
			return nil, err
		}
		files = append([]*os.File{f}, files...)
	}
}

func anyTwice(files []*os.File) bool {
	for i, f := range files {
		if i > 0 && same(f, files[i-1]) {
			return true
		}
	}
	return false
}

func same(a, b *os.File) bool {
	infoA, errA := a.Stat()
	infoB, errB := b.Stat()
	return errA == nil && errB == nil && os.SameFile(infoA, infoB)
}

// successor opens the file that follows current, nil when current is the newest. When current was rotated out of existence, the
// oldest that is left follows.
func successor(path string, current *os.File) (*os.File, error) {
	files, err := generations(path)
	if err != nil || len(files) == 0 {
		return nil, err
	}
	follows := 0
	for i, f := range files {
		if same(f, current) {
			follows = i + 1
		}
	}
	for i, f := range files {
		if i != follows {
			f.Close()
		}
	}
	if follows == len(files) {
		return nil, nil
	}
	return files[follows], nil
}

// skipToTail positions the files so that n lines follow, and drops those before. It reads backwards, only as far as it must.
func skipToTail(files []*os.File, n int64) ([]*os.File, error) {
	for i := len(files) - 1; i >= 0; i-- {
		found, err := seekTail(files[i], n)
		if err != nil {
			return nil, err
		}
		if found >= n {
			closeAll(files[:i])
			return files[i:], nil
		}
		n -= found
	}
	return files, nil
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

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}
