package emulators_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/clarity-loop/clarity/cmd/internal/emulators"
)

func TestRefuse(t *testing.T) {
	tests := map[string]struct {
		set         string
		development bool
		refused     bool
	}{
		"nothing":           {"", false, false},
		"storage":           {"STORAGE_EMULATOR_HOST", false, true},
		"storage's other":   {"STORAGE_EMULATOR_HOST_GRPC", false, true},
		"documents":         {"FIRESTORE_EMULATOR_HOST", false, true},
		"messages":          {"PUBSUB_EMULATOR_HOST", false, true},
		"tokens":            {"FIREBASE_AUTH_EMULATOR_HOST", false, true},
		"signed tokens":     {"CLARITY_AUTH_EMULATOR_HOST", false, true},
		"the older store":   {"DATASTORE_EMULATOR_HOST", false, true},
		"keys":              {"CLARITY_KMS_EMULATOR_HOST", false, true},
		"words":             {"CLARITY_GEMINI_EMULATOR_HOST", false, true},
		"in development":    {"FIRESTORE_EMULATOR_HOST", true, false},
		"another's setting": {"EMULATOR_HOST", false, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			err := emulators.Refuse(func(name string) string {
				if name == tt.set {
					return "localhost:1"
				}
				return ""
			}, tt.development)
			if (err != nil) != tt.refused || err != nil && !strings.Contains(err.Error(), tt.set) {
				t.Errorf("error %v, want one: %v", err, tt.refused)
			}
		})
	}
}

func TestDevelopment(t *testing.T) {
	for said, want := range map[string]string{"": "false", "true": "true", "1": "true", "false": "false", "yes": "CLARITY_DEV is true or false"} {
		on, err := emulators.Development(func(string) string { return said })
		if got := fmt.Sprint(on, err); !strings.Contains(got, want) || (err != nil) != (said == "yes") {
			t.Errorf("%q: %s, want %s", said, got, want)
		}
	}
}
