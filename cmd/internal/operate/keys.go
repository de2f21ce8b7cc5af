package operate

import (
	"context"
	"fmt"
	"io"

	"github.com/clarity-loop/clarity/services/keyring"
)

// PrintKeys writes what a census counted, in cells of a tabwriter, below a line of what
// they are.
func PrintKeys(w io.Writer, n keyring.Census) {
	say(w, "key\tversions\tof it\n")
	say(w, "kek\t%d\twraps %d keys, %d of them by an older version\n", n.KEKs, n.Wrapped, n.Older)
	say(w, "data\t%d\tof %d people, %d of whom get the newest when they write next; %d were destroyed\n", n.Data+1, n.People, n.Behind, n.Destroyed)
}

// RotateKEK has a new key wrap all others, and says how far it is. One that was cut goes on.
func RotateKEK(ctx context.Context, ring keyring.Rotator, w io.Writer) error {
	before, err := ring.Census(ctx)
	if err != nil {
		return err
	}
	if before.KEKs > 1 {
		say(w, "a rotation that was cut goes on\n")
	}
	if err := ring.RotateKEK(ctx); err != nil {
		return err
	}
	for cursor := ""; ; {
		p, err := ring.Rewrap(ctx, cursor)
		if err != nil {
			return fmt.Errorf("%w; say it again to go on, meanwhile everything opens as before", err)
		}
		say(w, "%d of %d keys are wrapped by the new one\n", p.Done, p.All)
		if cursor = p.Cursor; cursor == "" {
			say(w, "the key that wrapped them before is removed\n")
			return nil
		}
	}
}

// RotateData has each person's key made anew when they write next, and says for how many;
// list is what counts them.
func RotateData(ctx context.Context, ring keyring.Rotator, list string, w io.Writer) error {
	if err := ring.RotateData(ctx); err != nil {
		return err
	}
	n, err := ring.Census(ctx)
	if err != nil {
		return err
	}
	say(w, "%d people get a new data key when they write next; `%s` counts them\n", n.Behind, list)
	return nil
}
