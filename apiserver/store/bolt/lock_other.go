//go:build !unix

package bolt

import "os"

// lock leaves the locking to bbolt, which takes it a moment later.
func lock(*os.File) error { return nil }
