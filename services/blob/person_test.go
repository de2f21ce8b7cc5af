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

func TestSplitPersonUndoesPersonPrefix(t *testing.T) {
	for _, uid := range []string{"anna", "a:b@c", "..", "a=3Ab", "x.y_z-0"} {
		kind, got, rest, ok := SplitPerson(PersonPrefix(KindUploads, uid) + "upload-1/digest")
		if !ok || kind != KindUploads || got != uid || rest != "upload-1/digest" {
			t.Errorf("SplitPerson of %q's name = %q, %q, %q, %v", uid, kind, got, rest, ok)
		}
	}
}

func TestSplitPersonRefusesOtherNames(t *testing.T) {
	for name, other := range map[string]string{
		"too few segments":              "uploads/55/anna",
		"another hash than the uid's":   "uploads/00/anna/upload-1",
		"an escape that is cut off":     "uploads/55/anna=4/upload-1",
		"an escape of no hex digits":    "uploads/55/anna=zz/upload-1",
		"an escape of a plain letter":   "uploads/55/=61nna/upload-1",
		"an empty name":                 "",
		"a name without a person in it": "exports/x/y/z",
	} {
		t.Run(name, func(t *testing.T) {
			if _, _, _, ok := SplitPerson(other); ok {
				t.Errorf("SplitPerson(%q) is ok", other)
			}
		})
	}
}
