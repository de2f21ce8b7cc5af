//go:build race

package traffic_test

// rate is how many requests a second the race detector leaves time for.
const rate = 50
