package blob

import "testing"

func TestPersonPrefix(t *testing.T) {
	tests := map[string]struct{ uid, want string }{
		"a plain uid stands as it is":                     {"anna", "days/55/anna/"},
		"bytes that a name cannot hold are escaped":       {"a:b@c", "days/c0/a=3Ab=40c/"},
		"a uid of dots is no step up":                     {"..", "days/5e/=2E=2E/"},
		"an equals sign cannot be mistaken for an escape": {"a=3Ab", "days/8d/a=3D3Ab/"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := PersonPrefix(KindDays, tt.uid); got != tt.want {
				t.Errorf("PersonPrefix(%q) = %q, want %q", tt.uid, got, tt.want)
			}
		})
	}
}
