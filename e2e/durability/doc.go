// Package durability proves what the store promises, on the real API server: what was acknowledged is there, whatever happens to process,
// power and disk; what was refused is not; and watchers that come back are told all of it once, in order.
//
//	writers ─┐ through internal/client                       ┌─ kill -9                            TestKill
//	watchers ┼────────── gRPC, TLS ──────────▶ apiserver ────┼─ loss of power (package forgetful)  TestPowerLoss, …AtFirstStart
//	logbook ◀┘ what each was answered, and told              └─ full and read-only disks           TestDiskTrouble
//
// Start reading at trial: rounds of writing, each with a bad end, after each of which the logbook is compared with what the server says.
package durability
