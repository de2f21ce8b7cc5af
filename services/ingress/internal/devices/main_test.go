package devices_test

import (
	"testing"

	"go.uber.org/goleak"
)

// Whatever a test starts is gone when it ends, but for two goroutines of
// fasthttp's: its clock, and a cleaner that looks for the end every ten seconds.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"))
}
