package appbundle

import (
	"fmt"

	"github.com/interlock-dev/interlock/migrations/schema/compat"
	"github.com/interlock-dev/interlock/reconcilers/internal/stamps"
)

// twoStep refuses a revision in which a migration lets new code write what running code can not read (a dropped NOT
// NULL, a new enum value, a wider integer) together with that new code: while it rolls out, both run. The migration
// goes first, in a revision of its own; by then every running version has to be able to read what it allows.
// A file that says "assume expand" has a reason why the running code can.
func twoStep(series string, classes []compat.Classified, ready int64, list []stamps.Stamp, runs bool) string {
	if !runs {
		return ""
	}
	for _, c := range classes {
		v := c.File.Version
		if !c.TwoStep || v <= ready || c.File.AssumeReason != "" {
			continue
		}
		for _, st := range list {
			if st.Series == series && st.Version >= v && !st.Kept {
				return fmt.Sprintf("%s lets new code write what running code may not be able to read, and this revision rolls out %s beside it; "+
					"split it in three: code that can read the new shape, then this migration alone, then the code that writes it "+
					"(or state in the file why the running code can read it: -- +interlock assume expand reason=\"…\")", c.File.Name, st)
			}
		}
	}
	return ""
}
