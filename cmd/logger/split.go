package main

import (
	"bufio"
	"errors"
	"io"
	"time"
)

// longest is where a line is cut into a partial one, as in Kubernetes.
const longest = 16 << 10

// split reads a stream to its end, line by line. A file that can't be written (disk full) must not stop the program that prints, so
// the lines are dropped and reading goes on.
func split(stream io.Reader, name string, log *rotated) {
	lines := bufio.NewReaderSize(stream, longest)
	var entry []byte
	for {
		line, err := lines.ReadSlice('\n')
		if len(line) > 0 {
			entry = appendEntry(entry[:0], time.Now(), name, line)
			_ = log.write(entry)
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return
		}
	}
}

// appendEntry spells one entry. A line without its newline is partial, unless the stream ended: then whoever reads joins it to nothing.
func appendEntry(b []byte, now time.Time, stream string, line []byte) []byte {
	tag := " P "
	if line[len(line)-1] == '\n' {
		tag, line = " F ", line[:len(line)-1]
	}
	b = now.UTC().AppendFormat(b, "2006-01-02T15:04:05.000000000Z07:00")
	b = append(b, ' ')
	b = append(b, stream...)
	b = append(b, tag...)
	b = append(b, line...)
	return append(b, '\n')
}
