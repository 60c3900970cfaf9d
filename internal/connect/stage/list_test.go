package stage

import "testing"

func TestListed(t *testing.T) {
	for want, got := range map[string]string{
		"":                    listed[int]("%d", nil),
		"200":                 listed("%d", []int{200}),
		"200 and 204":         listed("%d", []int{200, 204}),
		"200, 204 and 301":    listed("%d", []int{200, 204, 301}),
		`"h2"`:                listed("%+q", []string{"h2"}),
		`"h2" and "\u00e9\n"`: listed("%+q", []string{"h2", "é\n"}),
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
