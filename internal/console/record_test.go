package console

import (
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"optimist/internal/api"
)

// Whatever slog writes as text is read back as it was.
func TestLinesAreReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		message := rapid.String().Draw(t, "message")
		var want []Pair
		var args []any
		for range rapid.IntRange(0, 4).Draw(t, "pairs") {
			p := Pair{rapid.StringMatching(`[a-z ="]+`).Draw(t, "key"), rapid.String().Draw(t, "value")}
			want, args = append(want, p), append(args, p.Key, p.Value)
		}
		var b strings.Builder
		slog.New(slog.NewTextHandler(&b, nil)).Warn(message, args...)
		r, ok := Parse(b.String())
		if !ok || r.Message != message || r.Level != slog.LevelWarn || time.Since(r.Time) > time.Hour || len(r.Attrs) != len(want) || len(want) > 0 && !reflect.DeepEqual(r.Attrs, want) {
			t.Fatalf("%q became %+v", b.String(), r)
		}
	})
}

func TestWhatIsNoLineOfOurs(t *testing.T) {
	for _, line := range []string{"", "\n", "panic: no", "[3 lines were lost]\n", `time="2026`, "time=now level=INFO msg=x", "level=INFO msg=x", "a=b c=d e=f", `time=2026-01-01T00:00:00Z level=LOUD msg=x`} {
		if r, ok := Parse(line); ok {
			t.Errorf("%q was taken for %+v", line, r)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(`time=2026-01-01T00:00:00.000Z level=INFO msg=acted component=scheduler object=pod/default/a step="bind to n1" why="" wrote=3`)
	f.Fuzz(func(_ *testing.T, line string) { Parse(line) })
}

func TestAnActIsOneLine(t *testing.T) {
	write := func(level slog.Level, steps ...[3]string) string {
		var b strings.Builder
		a := Act{Object: "pod/default/a", Revision: 7, Wrote: 9,
			Causes: api.Causes{}.Add(api.Cause{Type: api.CauseRestart, Revision: 3}, api.Cause{Type: api.CauseTrigger, Revision: 7})}
		for _, s := range steps {
			a.Did(s[0], s[1], s[2])
		}
		a.Log(t.Context(), slog.New(slog.NewTextHandler(&b, nil)), level)
		_, rest, _ := strings.Cut(b.String(), "msg=")
		return rest
	}
	pods := func(n int) (all [][3]string) {
		for range n {
			all = append(all, [3]string{"create pods", "create pods default/a", "3 are missing"})
		}
		return all
	}
	other := func(name string) [3]string { return [3]string{name, name + " it", "because"} }
	const head = "acted object=pod/default/a revision=7 cause=trigger@7+1 "
	for _, row := range []struct {
		name  string
		level slog.Level
		steps [][3]string
		want  string
	}{
		{"nothing done, nothing said", slog.LevelInfo, nil, ""},
		{"nobody listens", slog.LevelDebug, pods(1), ""},
		{"one step", slog.LevelInfo, pods(1), head + `step="create pods default/a" why="3 are missing" wrote=9` + "\n"},
		{"a burst", slog.LevelInfo, pods(3), head + `step="create pods default/a and 2 more" why="3 are missing" wrote=9` + "\n"},
		{"two sorts for one reason", slog.LevelInfo, [][3]string{other("stop"), other("remove")}, head + `step="stop it; remove it" why=because wrote=9` + "\n"},
		{"more than a line can hold", slog.LevelInfo, append([][3]string{other("a"), other("b"), other("c"), other("d"), other("e")}, pods(20)...),
			head + `step="a it; b it; c it; d it; and 21 more steps" why=because wrote=9` + "\n"},
	} {
		t.Run(row.name, func(t *testing.T) {
			if got := write(row.level, row.steps...); got != row.want {
				t.Errorf("\n got %s\nwant %s", got, row.want)
			}
		})
	}
}

func BenchmarkActThatNobodyHears(b *testing.B) {
	log := slog.New(slog.DiscardHandler)
	for b.Loop() {
		a := Act{Object: "pod/default/a"}
		a.Did("create pods", "create pods default/a", "3 are missing")
		a.Log(b.Context(), log, slog.LevelInfo)
	}
}
