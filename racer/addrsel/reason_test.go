package addrsel

import "testing"

func TestReasonWords(t *testing.T) {
	seen := map[string]bool{}
	for r := ReasonLast; r <= ReasonService; r++ {
		token := r.String()
		if token == "" || token == "?" || seen[token] {
			t.Errorf("reason %d is called %q", r, token)
		}
		seen[token] = true
		if r.Text() == "" || (r.Rule() == "") != (r == ReasonLast) {
			t.Errorf("%v: rule %q, text %q", r, r.Rule(), r.Text())
		}
	}
	if beyond := ReasonService + 1; beyond.String() != "?" || beyond.Rule() != "" || beyond.Text() != "" {
		t.Errorf("%v %q %q", beyond, beyond.Rule(), beyond.Text())
	}
}
