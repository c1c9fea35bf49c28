package api

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// causes reads "trigger@4 wake@5".
func causes(text string) (all []Cause) {
	for _, word := range strings.Fields(text) {
		var c Cause
		kind, r, _ := strings.Cut(word, "@")
		fmt.Sscan(r, &c.Revision)
		c.Type = CauseType(kind)
		all = append(all, c)
	}
	return all
}

func TestCausesAreBounded(t *testing.T) {
	for _, row := range []struct {
		name, have, add, want string
		more                  int
	}{
		{"none", "", "", "", 0},
		{"they are sorted, and none is there twice", "owner@4 trigger@7", "trigger@5 trigger@4 owner@4", "owner@4 trigger@4 trigger@5 trigger@7", 0},
		{"the oldest goes", "trigger@1 trigger@2 trigger@3 trigger@4 trigger@5 trigger@6 trigger@7 trigger@8", "trigger@10 owner@9",
			"trigger@3 trigger@4 trigger@5 trigger@6 trigger@7 trigger@8 owner@9 trigger@10", 2},
		{"but wakes go first: a pod that has waited for long is still bound because it was made", "owner@1 wake@2 wake@3 wake@4 wake@5 wake@6 wake@7 wake@8", "wake@9 wake@10",
			"owner@1 wake@4 wake@5 wake@6 wake@7 wake@8 wake@9 wake@10", 2},
	} {
		t.Run(row.name, func(t *testing.T) {
			got := Causes{}.Add(causes(row.have)...).Add(causes(row.add)...)
			if !slices.Equal(got.Edges, causes(row.want)) || got.More != row.more {
				t.Errorf("got %v", got)
			}
		})
	}
}
