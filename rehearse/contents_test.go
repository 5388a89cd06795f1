package rehearse

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

// files reads "path=content path=content".
func files(text string) contents {
	c := contents{}
	for _, pair := range strings.Fields(text) {
		name, content, _ := strings.Cut(pair, "=")
		c[name] = file{int64(len(content)), content}
	}
	return c
}

func TestWhatDiffersByItselfIsLearnt(t *testing.T) {
	for _, test := range []struct{ name, first, second, noise, got, says string }{
		{"nothing differs", "v/a=1", "v/a=1", "", "v/a=1", ""},
		{"a file grew", "v/a=1", "v/a=1", "", "v/a=11", "v/a has 2 bytes in place of 1"},
		{"same size", "v/a=1", "v/a=1", "", "v/a=2", "v/a has other content"},
		{"new and missing", "v/a=1", "v/a=1", "", "v/b=1", "v/a is missing, v/b is new"},
		{"a database in a folder", "v/pg/base/1/x=1 v/pg/wal/y=1 v/log=1", "v/pg/base/1/x=2 v/pg/wal/z=1 v/log=1", "v/pg",
			"v/pg/base/2/n=3 v/log=11", "v/log has 2 bytes in place of 1"},
		{"a database at the top", "v/base/1/x=1 v/wal/y=1 v/log=1 v/quiet/a=1", "v/base/1/x=2 v/wal/y=2 v/log=1 v/quiet/a=1", "v/base v/wal",
			"v/base/7=1 v/log=1 v/quiet/a=2", "v/quiet/a has other content"},
		{"one file at the top", "v/time=1 v/log=1", "v/time=2 v/log=1", "v/time", "v/time=3 v/log=11", "v/log has 2 bytes in place of 1"},
		{"another volume", "v/a/x=1 w/a/x=1", "v/a/x=2 w/a/x=1", "v/a", "v/a/x=3 w/a/x=2", "w/a/x has other content"},
		{"names with a common beginning", "v/a/x=1 v/ab/x=1", "v/a/x=2 v/ab/x=2", "v/a v/ab", "v/abc/x=3", "v/abc/x is new"},
	} {
		t.Run(test.name, func(t *testing.T) {
			n := learn(files(test.first), files(test.second))
			if got := strings.Join(slices.Sorted(maps.Keys(n)), " "); got != test.noise {
				t.Errorf("noise %q, want %q", got, test.noise)
			}
			if got := strings.Join(differences(files(test.second), files(test.got), n), ", "); got != test.says {
				t.Errorf("says %q, want %q", got, test.says)
			}
		})
	}
}
