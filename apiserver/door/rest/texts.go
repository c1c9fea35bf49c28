package rest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"optimist/internal/api"
)

// The bounds of the JSON that is kept: two generations of so many bytes, each for so long.
const (
	maxTexts  = 16 << 20
	keepTexts = 20 * time.Second
)

// texts keeps the JSON of objects that were listed lately, by their stored bytes, which hold the resourceVersion: who lists again, or another
// who lists the same, costs a copy instead of decoding and encoding. What nobody asks for is forgotten with its generation.
type texts struct {
	mu          sync.Mutex
	new, old    map[*api.Kind]map[string][]byte
	size        int // of new
	forgettable bool
}

// of is an object's JSON as an item of a list, without its kind.
func (x *texts) of(k *api.Kind, raw []byte) ([]byte, error) {
	x.mu.Lock()
	text, ok := x.new[k][string(raw)]
	if !ok {
		if text, ok = x.old[k][string(raw)]; ok {
			x.keep(k, raw, text)
		}
	}
	x.mu.Unlock()
	if ok {
		return text, nil
	}
	o, err := api.Unmarshal(k, "", raw)
	if err != nil {
		return nil, err
	}
	if text, err = item(k, "", o); err == nil {
		x.mu.Lock()
		x.keep(k, raw, text)
		x.mu.Unlock()
	}
	return text, err
}

// keep is called with the lock held.
func (x *texts) keep(k *api.Kind, raw, text []byte) {
	if x.size += len(raw) + len(text); x.size > maxTexts {
		x.turn()
	}
	if x.new == nil {
		x.new = map[*api.Kind]map[string][]byte{}
	}
	if x.new[k] == nil {
		x.new[k] = map[string][]byte{}
	}
	x.new[k][string(raw)] = text
	if !x.forgettable {
		x.forgettable = true
		time.AfterFunc(keepTexts, x.forget)
	}
}

func (x *texts) turn() { x.old, x.new, x.size = x.new, nil, 0 }

func (x *texts) forget() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.turn()
	if x.forgettable = x.old != nil; x.forgettable {
		time.AfterFunc(keepTexts, x.forget)
	}
}

// item is an object as an item of a list, whose kind says what it is.
func item(k *api.Kind, version string, o api.Object) ([]byte, error) {
	gvk := k.GVK(version)
	text, err := json.Marshal(o)
	if rest, ok := bytes.CutPrefix(text, fmt.Appendf(nil, `{"kind":%q,"apiVersion":%q,`, gvk.Kind, gvk.GroupVersion())); ok {
		text = append([]byte("{"), rest...)
	}
	return text, err
}
