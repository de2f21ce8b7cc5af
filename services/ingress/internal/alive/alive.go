// Package alive is what a probe is told.
package alive

type healthView struct {
	Status string `json:"status" enum:"ok,disk_full" doc:"disk_full where uploads are refused for want of room, and all else goes on"`
}

// Output is the answer to a probe.
type Output struct{ Body healthView }

// OK says that nothing is wrong.
func OK() *Output { return &Output{healthView{"ok"}} }

// Within says how it is where there may be no room to take anything in; nil always has room.
func Within(space func() error) *Output {
	if space != nil && space() != nil {
		return &Output{healthView{"disk_full"}}
	}
	return OK()
}
