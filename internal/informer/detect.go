package informer

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"os"

	"optimist/internal/api"
)

// detecting says whether the mutation detector is on (law 12): every object is then summed up when it enters a cache, and compared whenever
// it is read or replaced. Tests turn it on.
func detecting() bool { return os.Getenv("OPTIMIST_DETECT_MUTATIONS") == "1" }

// checksum is never 0, which stands for "not summed up".
func checksum(o api.Object) uint64 {
	data, err := json.Marshal(o)
	if err != nil {
		panic(fmt.Sprintf("informer: %T cannot be encoded: %v", o, err))
	}
	h := fnv.New64a()
	h.Write(data)
	return h.Sum64() | 1
}

func (e entry) verify(k *api.Kind, key api.Key) {
	if e.sum != 0 && checksum(e.object) != e.sum {
		panic(fmt.Sprintf("informer: somebody changed %s %s in the cache; DeepCopy objects before changing them", k, key))
	}
}
