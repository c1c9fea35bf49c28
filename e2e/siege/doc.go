// Package siege stands before a real API server (TLS on loopback, its file on disk) with thousands of clients who mean no good, and looks whether those
// who mean well are still answered, and whether all that was taken is given back.
//
// Invariants: meanwhile every request of another user succeeds; a refusal is 413, or 429 with Retry-After; afterwards goroutines, descriptors and memory
// are near what they were. Only counts fail a test, never how long something took.
package siege
