package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
)

// split cuts a file into documents. Each begins with as many empty lines as it has before it in the file, so that parsers count right. YAML is
// cut at its "---" lines, whatever stands between, so that a syntax error spoils one document only.
func split(data []byte) [][]byte {
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	if bytes.HasPrefix(bytes.TrimSpace(data), []byte("{")) {
		if documents, ok := splitJSON(data); ok {
			return documents
		}
	}
	var all [][]byte
	begin, at := 0, 0
	for line := range bytes.Lines(data) {
		if isSeparator(line) {
			all = append(all, lowered(data, begin, at))
			begin = at + len(line)
		}
		at += len(line)
	}
	return append(all, lowered(data, begin, at))
}

func isSeparator(line []byte) bool {
	rest, ok := bytes.CutPrefix(line, []byte("---"))
	rest = bytes.TrimSpace(rest)
	return ok && (len(rest) == 0 || rest[0] == '#')
}

// splitJSON cuts a stream of JSON objects; false when it is not one (then it may be YAML in braces, or several documents).
func splitJSON(data []byte) (all [][]byte, ok bool) {
	decoder := json.NewDecoder(bytes.NewReader(data))
	for {
		var raw json.RawMessage
		if err := decoder.Decode(&raw); err != nil {
			return all, errors.Is(err, io.EOF)
		}
		end := int(decoder.InputOffset())
		all = append(all, lowered(data, end-len(raw), end))
	}
}

func lowered(data []byte, begin, end int) []byte {
	return append(bytes.Repeat([]byte("\n"), bytes.Count(data[:begin], []byte("\n"))), data[begin:end]...)
}
