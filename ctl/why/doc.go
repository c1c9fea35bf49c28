// Package why finds out what is the matter with an object, and what to do next.
//
//	Gather: objects, events, last lines of logs, who is connected, the scheduler's matrix ──▶ Facts
//	                                                                                            │
//	  Diagnose(facts, object): table of rules ──▶ a rule says "because of that object" ──▶ ask about that one
//	                                         └──▶ a rule says what is the matter ──▶ Cause: sentence, evidence, commands
//
// Start with table.go, which lists every cause that is known, from the most fundamental on; docs/why.md is the same list in words.
// Then rule.go (how the table is walked), the rules of each kind, and gather.go, the only file that asks anybody anything.
//
// Invariants: Diagnose is pure; the first rule that finds something wins, so order is meaning; every command that is printed is a command of
// this ctl and does what the sentence before it promises; where nobody but the author of a program can help, no command pretends to.
//
// Real Kubernetes has nothing like it: one reads `kubectl describe` of one object after the other, and knows what to look for.
package why
