// Package encryption keeps values unreadable for whoever holds the database file without the keys: AES-256 in Galois/Counter mode.
//
//	<pki>/encryption.yaml   an EncryptionConfiguration as Kubernetes' API server reads it: of which resources (secrets), and the keys, newest first
//
// The registry seals a value with the first key and writes the key's name into the envelope beside it; it opens with whichever key is named there.
// The value's place in the store is authenticated too: one that was copied under another name does not open.
//
// Start reading at Keys.Rotate.
//
// Invariants: a key is in the synced file before anything is sealed with it; it leaves the file only when it was replaced more than a day
// before (history and watches may still need it) and the registry has said that no present value names it.
//
// Real Kubernetes stores such values in plain text unless the API server is given --encryption-provider-config, and has further providers (secretbox, KMS).
package encryption
