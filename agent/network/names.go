package network

import (
	"crypto/sha256"
	"encoding/base32"
	"strings"

	"k8s.io/apimachinery/pkg/types"
)

// Links have at most 15 characters: "vo", 5 of the node's hash, 8 of the pod's. The node's part keeps clusters apart that share a
// network namespace; the link's alias has the pod's uid in full.
const (
	nodeChars = 5
	podChars  = 8
)

func linkPrefix(c Config) string { return "vo" + hash(c.Cluster+"/"+c.Node, nodeChars) }

func linkName(c Config, pod types.UID) string { return linkPrefix(c) + hash(string(pod), podChars) }

// tableName is the node's own nft table, which nobody else writes.
func tableName(c Config) string { return "optimist_" + c.Cluster + "_" + c.Node }

func hash(s string, chars int) string {
	sum := sha256.Sum256([]byte(s))
	return strings.ToLower(base32.StdEncoding.EncodeToString(sum[:]))[:chars]
}
