package params

import (
	"maps"
	"testing"

	v1alpha1 "github.com/interlock-dev/interlock/apis/v1alpha1"
)

func TestMerge(t *testing.T) {
	shop := Entry{Series: "shop", Ready: 4, Min: 0, Hint: "h", Secrets: []string{"shop-app"}, Exempt: []string{"postgres"}}
	fenced := shop
	fenced.Min = 5
	billing := Entry{Series: "billing", Ready: 1, Min: 1, Secrets: []string{"billing-app", "shop-app"}}
	tests := map[string]struct {
		entries []Entry
		want    map[string]string
	}{
		"no fence, no fenced secrets": {
			entries: []Entry{shop},
			want: map[string]string{"shop.ready": "4", "shop.min": "0", "shop.hint": "h", "shop.secrets": "",
				"shop.exempt": "", "shop.server": "/0", "fenced-secrets": "", "exempt": ""},
		},
		"two series share a secret": {
			entries: []Entry{fenced, billing},
			want: map[string]string{
				"shop.ready": "4", "shop.min": "5", "shop.hint": "h", "shop.secrets": "shop-app", "shop.exempt": "postgres", "shop.server": "/0", "billing.server": "/0",
				"billing.ready": "1", "billing.min": "1", "billing.hint": "", "billing.secrets": "billing-app,shop-app",
				"billing.exempt": "", "fenced-secrets": "billing-app,shop-app", "exempt": "postgres"},
		},
		"a fence that is withdrawn frees the secrets": {
			entries: []Entry{fenced, shop},
			want: map[string]string{"shop.ready": "4", "shop.min": "0", "shop.hint": "h", "shop.secrets": "",
				"shop.exempt": "", "shop.server": "/0", "fenced-secrets": "", "exempt": ""},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var data map[string]string
			for _, e := range tt.entries {
				data = Merge(data, e)
			}
			if !maps.Equal(data, tt.want) {
				t.Errorf("got %v, want %v", data, tt.want)
			}
		})
	}
}

func TestRemove(t *testing.T) {
	data := Merge(Merge(nil, Entry{Series: "a", Min: 1, Secrets: []string{"x"}}), Entry{Series: "b", Min: 2, Secrets: []string{"y"}})
	got := Remove(data, "a")
	want := map[string]string{"b.ready": "0", "b.min": "2", "b.hint": "", "b.secrets": "y", "b.exempt": "", "b.server": "/0",
		"fenced-secrets": "y", "exempt": ""}
	if !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestSplitAuditRefusesNothing(t *testing.T) {
	e := Entry{Series: "shop", Ready: 3, Min: 2, Enforcement: v1alpha1.EnforcementAudit}
	enforce, audit := split(e)
	if enforce.Min != 0 || enforce.Ready < 1<<40 {
		t.Errorf("an audited series must pass the refusing policies, got ready %d min %d", enforce.Ready, enforce.Min)
	}
	if audit.Min != 2 || audit.Ready != 3 {
		t.Errorf("the warning policies must see the real values, got ready %d min %d", audit.Ready, audit.Min)
	}
}

func TestServerOutdated(t *testing.T) {
	tests := map[string]struct {
		published string
		want      bool
	}{
		"nothing published":         {"", false},
		"the same":                  {"77/3", false},
		"a failover happened since": {"77/4", true},
		"an older history":          {"77/2", false},
		"another database":          {"78/9", false},
		"garbage":                   {"77/x", false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := (Server{SystemIdentifier: "77", Timeline: 3}).outdated(tt.published); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}
