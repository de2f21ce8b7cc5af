// Package operate is what who operates a platform does beside the processes that run:
// dead letters, pseudonyms and keys. `clarity` does it on a data directory, and
// `insights` on what a configuration names: see Tools.
package operate

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/clarity-loop/clarity/services/flow"
	"github.com/clarity-loop/clarity/services/queue"
)

// DeadLetters lists the dead letters of every topic and consumer, those at the end that
// nobody consumes any more, and counts what else nobody consumes.
func DeadLetters(ctx context.Context, q queue.Queue, g queue.Gauge) (dead []queue.DeadLetter, unclaimed []queue.Backlog, err error) {
	if unclaimed, err = g.Unclaimed(ctx); err != nil {
		return nil, nil, err
	}
	all := make([]queue.Backlog, 0, len(unclaimed))
	for _, topic := range flow.Topics() {
		for _, name := range flow.Consumers()[topic] {
			all = append(all, queue.Backlog{Topic: topic, Consumer: name})
		}
	}
	for _, b := range unclaimed {
		if b.Dead > 0 { // without one it cannot be asked for
			all = append(all, b)
		}
	}
	for _, b := range all {
		some, err := deadOf(ctx, q, b.Topic, b.Consumer)
		if err != nil {
			return nil, nil, err
		}
		dead = append(dead, some...)
	}
	return dead, unclaimed, nil
}

func deadOf(ctx context.Context, q queue.Queue, topic, name string) (letters []queue.DeadLetter, err error) {
	const page = 500
	for after := ""; ; after = letters[len(letters)-1].ID {
		some, err := q.Dead(ctx, topic, name, after, page)
		if err != nil {
			return nil, err
		}
		if letters = append(letters, some...); len(some) < page {
			return letters, nil
		}
	}
}

// PrintDead writes dead letters, without what they hold, and what nobody consumes.
func PrintDead(w io.Writer, dead []queue.DeadLetter, unclaimed []queue.Backlog) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if len(dead) == 0 {
		say(tw, "no dead letters\n")
	} else {
		say(tw, "letter\ttopic\tconsumer\tdied\tattempts\treason\n")
	}
	for _, l := range dead {
		say(tw, "%s\t%s\t%s\t%s\t%d\t%s\n", l.ID, l.Topic, cmp.Or(l.Consumer, "-"), l.Died.UTC().Format(time.RFC3339), l.Attempt, l.Reason)
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	for _, b := range unclaimed {
		if n := b.Waiting + b.Leased; n > 0 {
			say(w, "%d messages of the topic %s (consumer %s) that nobody consumes\n", n, b.Topic, cmp.Or(b.Consumer, "-"))
		}
	}
	return nil
}

// say writes for a person; a closed terminal is not worth an error.
func say(w io.Writer, format string, args ...any) { _, _ = fmt.Fprintf(w, format, args...) }
