package kinds

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// cronFields are the five fields of a schedule, with their bounds and the names that some of their values have.
var cronFields = []struct {
	name        string
	least, most int
	names       string // of the values from least on, three letters each
}{
	{"minute", 0, 59, ""}, {"hour", 0, 23, ""}, {"day of month", 1, 31, ""}, {"month", 1, 12, "janfebmaraprmayjunjulaugsepoctnovdec"}, {"day of week", 0, 6, "sunmontuewedthufrisat"},
}

// cronFaults reads a schedule as Vixie's cron does: five fields of *, n, n-m and steps, in lists; or one word that stands for them.
func cronFaults(schedule string) []string {
	if strings.Contains(schedule, "TZ") {
		return []string{"cannot use TZ or CRON_TZ in schedule, use timeZone field instead"}
	}
	if word, ok := strings.CutPrefix(schedule, "@"); ok {
		return cronWord(word)
	}
	parts := strings.Fields(schedule)
	if len(parts) != len(cronFields) {
		return []string{fmt.Sprintf("expected exactly 5 fields, found %d: [%s]", len(parts), strings.Join(parts, " "))}
	}
	for i, part := range parts {
		for item := range strings.SplitSeq(part, ",") {
			if err := cronItem(i, item); err != nil {
				return []string{fmt.Sprintf("%s: %v", cronFields[i].name, err)}
			}
		}
	}
	return nil
}

func cronWord(word string) []string {
	if span, ok := strings.CutPrefix(word, "every "); ok {
		if _, err := time.ParseDuration(span); err != nil {
			return []string{fmt.Sprintf("failed to parse duration @every %s: %v", span, err)}
		}
		return nil
	}
	switch word {
	case "yearly", "annually", "monthly", "weekly", "daily", "midnight", "hourly":
		return nil
	}
	return []string{"unrecognized descriptor: @" + word}
}

func cronItem(i int, item string) error {
	span, step, stepped := strings.Cut(item, "/")
	first, last, ranged := strings.Cut(span, "-")
	if n, err := strconv.ParseUint(step, 10, 31); stepped && (err != nil || n == 0) {
		return fmt.Errorf("%q is no step", item)
	}
	if first == "*" || first == "?" {
		if ranged {
			return fmt.Errorf("%q is no range", item)
		}
		return nil
	}
	from, err := cronValue(i, first)
	if err != nil || !ranged {
		return err
	}
	to, err := cronValue(i, last)
	if err == nil && from > to {
		err = fmt.Errorf("beginning of range (%d) beyond end of range (%d): %s", from, to, item)
	}
	return err
}

func cronValue(i int, word string) (int, error) {
	f := cronFields[i]
	n, err := strconv.Atoi(word)
	if at := strings.Index(f.names, strings.ToLower(word)); err != nil && len(word) == 3 && at >= 0 && at%3 == 0 {
		n, err = f.least+at/3, nil
	}
	switch {
	case err != nil:
		return 0, fmt.Errorf("%q is no number", word)
	case n < f.least || n > f.most:
		return 0, fmt.Errorf("%d is not in %d-%d", n, f.least, f.most)
	}
	return n, nil
}
