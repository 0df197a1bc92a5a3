package stamps

import (
	"errors"
	"iter"
	"maps"
	"testing"
	"testing/fstest"
)

// commit is a commit of a test's history: what its bundle names, or its text where it does not render.
type commit struct {
	id     string
	images []string
	broken string
}

// backwards goes through commits from the last, as a history does.
func backwards(commits []commit, end error) iter.Seq2[commit, error] {
	return func(yield func(commit, error) bool) {
		for i := len(commits) - 1; i >= 0; i-- {
			if !yield(commits[i], nil) {
				return
			}
		}
		if end != nil {
			yield(commit{}, end)
		}
	}
}

func TestOldest(t *testing.T) {
	tests := map[string]struct {
		// history with the oldest first.
		history []commit
		end     error
		want    map[string]string
		wantErr bool
	}{
		"the first that names it": {
			history: []commit{{id: "1", images: []string{"r/a:1"}}, {id: "2", images: []string{"r/a:2"}}, {id: "3", images: []string{"r/a:2"}}},
			want:    map[string]string{"r/a:1": "1", "r/a:2": "2"},
		},
		"set back and forth: the oldest of all": {
			history: []commit{{id: "1", images: []string{"r/a:2"}}, {id: "2", images: []string{"r/a:1"}}, {id: "3", images: []string{"r/a:2"}}},
			want:    map[string]string{"r/a:1": "2", "r/a:2": "1"},
		},
		"a broken commit in between is passed over": {
			history: []commit{{id: "1", images: []string{"r/a:1"}}, {id: "2", broken: "nothing of it"}, {id: "3", images: []string{"r/a:2"}}},
			want:    map[string]string{"r/a:1": "1", "r/a:2": "3"},
		},
		"a broken commit that holds the tag may be the one": {
			history: []commit{{id: "1", images: []string{"r/a:1"}}, {id: "2", broken: "image: r/a:2"}, {id: "3", images: []string{"r/a:2"}}},
			want:    map[string]string{"r/a:1": "1", "r/a:2": "2"},
		},
		"a broken commit that does not adjoin is not": {
			history: []commit{{id: "1", broken: "image: r/a:2"}, {id: "2", images: []string{"r/a:1"}}, {id: "3", images: []string{"r/a:2"}}},
			want:    map[string]string{"r/a:1": "2", "r/a:2": "3"},
		},
		"several broken ones, the tag written apart from the name": {
			history: []commit{{id: "1", broken: "newName: r/a\nnewTag: '2'"}, {id: "2", broken: "newName: r/a\nnewTag: '2'"}, {id: "3", images: []string{"r/a:2"}}},
			want:    map[string]string{"r/a:2": "1"},
		},
		"nobody names it": {history: []commit{{id: "1"}}, want: map[string]string{}},
		"a history that is cut short proves nothing": {
			history: []commit{{id: "3", images: []string{"r/a:2"}}}, end: errors.New("shallow"), wantErr: true,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := Oldest(backwards(tt.history, tt.end), []string{"r/a:1", "r/a:2"}, func(c commit) (Named, error) {
				n := Named{Broken: c.broken != "", Text: c.broken, Images: map[string]bool{}}
				for _, i := range c.images {
					n.Images[i] = true
				}
				return n, nil
			})
			if (err != nil) != tt.wantErr {
				t.Fatalf("error %v", err)
			}
			ids := map[string]string{}
			for image, c := range got {
				ids[image] = c.id
			}
			if !tt.wantErr && !maps.Equal(ids, tt.want) {
				t.Errorf("got %v, want %v", ids, tt.want)
			}
		})
	}
}

func TestVersionAt(t *testing.T) {
	tests := map[string]struct {
		files []string
		known []int64
		want  int64
	}{
		"the newest":                         {[]string{"db/00001_a.sql", "db/00002_b.sql"}, []int64{1, 2}, 2},
		"what came later does not count":     {[]string{"db/00001_a.sql"}, []int64{1, 2, 3}, 1},
		"a gap: 302 without 301 is at 300":   {[]string{"db/300_a.sql", "db/302_c.sql"}, []int64{300, 301, 302}, 300},
		"no folder":                          {[]string{"other/1_a.sql"}, []int64{1}, 0},
		"files that are no migrations":       {[]string{"db/1_a.sql", "db/README.md", "db/x.sql", "db/sub/2_b.sql"}, []int64{1, 2}, 1},
		"timestamps":                         {[]string{"db/20240101000000_a.sql"}, []int64{20240101000000}, 20240101000000},
		"the journal knows one that is lost": {[]string{"db/1_a.sql", "db/3_c.sql"}, []int64{2, 1, 3}, 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			tree := fstest.MapFS{}
			for _, f := range tt.files {
				tree[f] = &fstest.MapFile{Data: []byte("x")}
			}
			if got := VersionAt(tree, "db", tt.known); got != tt.want {
				t.Errorf("got %d, want %d", got, tt.want)
			}
		})
	}
}

func TestSplitImage(t *testing.T) {
	for image, want := range map[string][2]string{
		"a:1": {"a", "1"}, "host:5000/a": {"host:5000/a", ""}, "host:5000/a:1": {"host:5000/a", "1"},
		"r/a@sha256:00": {"r/a", "sha256:00"}, "r/a:1@sha256:00": {"r/a:1", "sha256:00"},
	} {
		if name, tag := splitImage(image); name != want[0] || tag != want[1] {
			t.Errorf("%s: got %q %q, want %q", image, name, tag, want)
		}
	}
}
