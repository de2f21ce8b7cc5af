// Package reject lists the reasons for which one sample of a batch, or one
// record of a file, is not taken, or is taken but not all of it understood. They
// are part of the contract: a phone and an importer act on them.
package reject

// A Code is a stable, machine-readable reason for a rejection.
type Code string

// The reasons for which a single sample is rejected.
const (
	MissingField   Code = "missing_field" // a required member is absent
	WrongType      Code = "wrong_type"    // a member has another JSON type than the contract says
	DuplicateKey   Code = "duplicate_key" // a member is there twice
	InvalidUUID    Code = "invalid_uuid"  // not the 36-character form
	InvalidTime    Code = "invalid_time"  // not RFC 3339 with an offset, or outside 1900–2200
	EndBeforeStart Code = "end_before_start"
	FutureTime     Code = "future_time"     // starts more than 24 hours ahead of the server's clock
	TooLong        Code = "too_long"        // lasts longer than the type can
	InvalidNumber  Code = "invalid_number"  // NaN, infinite or out of float64's range
	OutOfRange     Code = "out_of_range"    // no person can have this value
	UnknownUnit    Code = "unknown_unit"    // the unit is not one of the type's dimension
	InvalidZone    Code = "invalid_zone"    // of a file: the zone to read it in is none
	InvalidValue   Code = "invalid_value"   // not a value that an enumeration can have
	InvalidText    Code = "invalid_text"    // a string with control characters, half a surrogate pair, empty, or too long
	UnknownField   Code = "unknown_field"   // a member that the contract does not have
	TooManyPoints  Code = "too_many_points" // of a series
	TooLarge       Code = "too_large"       // a sample's text beyond 64 KiB, or its metadata beyond 16 KiB
)

// Codes are all of them.
func Codes() []Code {
	return []Code{
		MissingField, WrongType, DuplicateKey, InvalidUUID, InvalidTime, EndBeforeStart, FutureTime, TooLong,
		InvalidNumber, OutOfRange, UnknownUnit, InvalidZone, InvalidValue, InvalidText, UnknownField, TooManyPoints, TooLarge,
	}
}

// A Warning is a stable, machine-readable word for what was not understood of a
// sample that is taken all the same.
type Warning string

// What a sample may have that is not understood.
const (
	UnreadZone    Warning = "invalid_zone"  // HKTimeZone is neither an IANA time zone nor GMT and an offset
	UnknownValue  Warning = "unknown_value" // a value that the enumeration does not have yet
	UnknownMember Warning = "unknown_field" // a member that the contract does not have, yet
)
