//go:build linux

package forgetful

import (
	"bytes"
	"maps"
	"math/rand/v2"
	"slices"
)

// sectorSize is what a disk writes at once.
const sectorSize = 512

// content is the bytes of a file.
type content struct {
	now    []byte
	stable []byte
	loose  map[int][][]byte // by sector: its versions since the last sync, the oldest first
	sizes  []int            // likewise
}

func (c *content) write(offset int, data []byte) {
	end := offset + len(data)
	if end > len(c.now) {
		c.resize(end)
	}
	copy(c.now[offset:], data)
	for s := offset / sectorSize; s*sectorSize < end; s++ {
		c.loosen(s)
	}
}

// resize also zeroes what is cut off, for whoever makes the file longer again.
func (c *content) resize(size int) {
	if size < len(c.now) {
		old := len(c.now)
		clear(c.now[size:])
		for s := size / sectorSize; s*sectorSize < old; s++ {
			c.loosen(s)
		}
	}
	c.now = resized(c.now, size)
	c.sizes = append(c.sizes, size)
}

func (c *content) loosen(sector int) {
	if c.loose == nil {
		c.loose = map[int][][]byte{}
	}
	version := make([]byte, sectorSize)
	copy(version, c.now[sector*sectorSize:])
	c.loose[sector] = append(c.loose[sector], version)
}

func (c *content) sync() {
	c.stable = resized(c.stable, len(c.now))
	for s := range c.loose {
		if from := s * sectorSize; from < len(c.now) {
			copy(c.stable[from:], c.now[from:min(from+sectorSize, len(c.now))])
		}
	}
	c.loose, c.sizes = nil, nil
}

// lose makes what survives the whole content. Each loose sector survives with probability p.
func (c *content) lose(random *rand.Rand, p float64) {
	left := bytes.Clone(c.stable)
	size := survivor(random, p, len(left), c.sizes)
	left = resized(left, size)
	for _, s := range slices.Sorted(maps.Keys(c.loose)) { // in order, so that a seed repeats it
		if from := s * sectorSize; from < size {
			if v := survivor(random, p, nil, c.loose[s]); v != nil {
				copy(left[from:min(from+sectorSize, size)], v)
			}
		}
	}
	*c = content{now: left, stable: bytes.Clone(left)}
}

// survivor is the last version with probability p; else the stable one or an older one.
func survivor[T any](random *rand.Rand, p float64, stable T, versions []T) T {
	n := len(versions)
	if n > 0 && random.Float64() >= p {
		n = random.IntN(n)
	}
	if n == 0 {
		return stable
	}
	return versions[n-1]
}

func resized(b []byte, size int) []byte {
	if size <= len(b) {
		return b[:size]
	}
	return append(b, make([]byte, size-len(b))...)
}
