package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
)

// chunk is the text of one document. Line is the number of the line in the file that the text begins on.
type chunk struct {
	text []byte
	line int
}

// split cuts a file into documents. YAML is cut at its "---" lines, whatever stands between, so that a syntax error spoils one document only.
func split(data []byte) []chunk {
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	if first := bytes.TrimSpace(data); len(first) > 0 && first[0] == '{' {
		if chunks, ok := splitJSON(data); ok {
			return chunks
		}
	}
	return splitYAML(data)
}

func splitYAML(data []byte) []chunk {
	var chunks []chunk
	open := chunk{line: 1}
	number := 0
	for line := range bytes.Lines(data) {
		number++
		if isSeparator(line) {
			chunks = append(chunks, open)
			open = chunk{line: number + 1}
			continue
		}
		open.text = append(open.text, line...)
	}
	return append(chunks, open)
}

func isSeparator(line []byte) bool {
	rest, ok := bytes.CutPrefix(line, []byte("---"))
	rest = bytes.TrimSpace(rest)
	return ok && (len(rest) == 0 || rest[0] == '#')
}

// splitJSON cuts a stream of JSON objects; false when it is not one (then it may be YAML in braces, or several documents).
func splitJSON(data []byte) ([]chunk, bool) {
	var chunks []chunk
	decoder := json.NewDecoder(bytes.NewReader(data))
	for {
		var raw json.RawMessage
		err := decoder.Decode(&raw)
		if errors.Is(err, io.EOF) {
			return chunks, true
		}
		if err != nil {
			return nil, false
		}
		begin := int(decoder.InputOffset()) - len(raw)
		chunks = append(chunks, chunk{text: raw, line: 1 + bytes.Count(data[:begin], []byte("\n"))})
	}
}
