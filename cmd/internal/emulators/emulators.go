// Package emulators refuses an environment that leads a cloud's client to a
// stand-in of the cloud.
package emulators

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// switches are the variables by which the clouds' clients are led elsewhere,
// some of them without asking who is there.
func switches() []string {
	return []string{"STORAGE_EMULATOR_HOST", "STORAGE_EMULATOR_HOST_GRPC", "FIRESTORE_EMULATOR_HOST", "PUBSUB_EMULATOR_HOST",
		"FIREBASE_AUTH_EMULATOR_HOST", "DATASTORE_EMULATOR_HOST", Auth, KMS, Gemini, FCM}
}

// Our own switches, for services whose clients have none: HOST:PORT of a stand-in
// for Cloud KMS (gRPC), for Gemini and for Firebase Cloud Messaging (HTTP), and for Firebase Authentication where that signs its
// tokens (HTTP), which Firebase's own emulator does not; all in the clear.
const (
	Auth   = "CLARITY_AUTH_EMULATOR_HOST"
	KMS    = "CLARITY_KMS_EMULATOR_HOST"
	Gemini = "CLARITY_GEMINI_EMULATOR_HOST"
	FCM    = "CLARITY_FCM_EMULATOR_HOST"
)

// Development says whether CLARITY_DEV is true: the only way to be led to an emulator.
func Development(getenv func(string) string) (bool, error) {
	s := getenv("CLARITY_DEV")
	if s == "" {
		return false, nil
	}
	on, err := strconv.ParseBool(s)
	if err != nil {
		return false, fmt.Errorf("CLARITY_DEV is true or false, not %.20q", s)
	}
	return on, nil
}

// Refuse is an error where the environment leads a cloud's client to an
// emulator, and development is off.
func Refuse(getenv func(string) string, development bool) error {
	set := slices.DeleteFunc(switches(), func(name string) bool { return getenv(name) == "" })
	if development || len(set) == 0 {
		return nil
	}
	return fmt.Errorf("%s leads to an emulator, which only CLARITY_DEV=true allows: nobody is asked who they are there", strings.Join(set, ", "))
}
