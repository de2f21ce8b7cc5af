//go:build !race

package traffic_test

// rate is how many requests a second the lossless test makes.
const rate = 500
