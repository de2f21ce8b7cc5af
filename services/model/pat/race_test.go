//go:build race

package pat_test

const raceEnabled = true
