package informer

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"os"

	"optimist/internal/api"
)

// detect turns the mutation detector on (law 12): every object is summed up when it enters a cache and compared whenever it is read or replaced.
var detect = os.Getenv("OPTIMIST_DETECT_MUTATIONS") == "1"

func checksum(o api.Object) uint64 {
	if !detect || o == nil {
		return 0
	}
	data, err := json.Marshal(o)
	if err != nil {
		panic(fmt.Sprintf("informer: %T cannot be encoded: %v", o, err))
	}
	h := fnv.New64a()
	h.Write(data)
	return h.Sum64()
}

func (e entry) verify(k *api.Kind, key api.Key) {
	if detect && e.object != nil && checksum(e.object) != e.sum {
		panic(fmt.Sprintf("informer: somebody changed %s %s in the cache; DeepCopy objects before changing them", k, key))
	}
}
