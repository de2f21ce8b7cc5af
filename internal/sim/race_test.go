//go:build race

package sim_test

// raced says that the race detector looks on, which has goroutines run in an order of
// its own.
const raced = true
