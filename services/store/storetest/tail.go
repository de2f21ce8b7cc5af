package storetest

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/clarity-loop/clarity/services/store"
)

// patience is how long a token may take.
const patience = 30 * time.Second

func token(t *testing.T, tokens <-chan struct{}, what string) {
	t.Helper()
	select {
	case _, open := <-tokens:
		if !open {
			t.Fatalf("the tail ended before %s", what)
		}
	case <-time.After(patience):
		t.Fatalf("no token %s", what)
	}
}

func testTail(t *testing.T, open Opener) {
	d := open()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	put(t, d, at("u", "a"), 0, "there before")
	tails := map[string]<-chan struct{}{}
	for _, after := range []string{"", "a"} {
		tokens, err := d.Tail(ctx, collection, "u", after)
		if err != nil {
			t.Fatal(err)
		}
		tails[after] = tokens
	}
	for _, key := range []string{"b", "c", "cc", "d"} {
		put(t, d, at("u", key), 0, "x")
		for after, tokens := range tails {
			token(t, tokens, fmt.Sprintf("behind %q after %s was created", after, key))
		}
	}
	put(t, d, at("u", "e"), store.Any, "x")
	token(t, tails["a"], "after e was created, whatever was there")
}

// testTailVisible has a reader that rests on tokens alone: were one missing, or
// sent before the document can be listed, it would wait for ever. The keys come
// as sequence numbers do: each is free until somebody takes it.
func testTailVisible(t *testing.T, open Opener) {
	d := open()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	tokens, err := d.Tail(ctx, collection, "u", "")
	if err != nil {
		t.Fatal(err)
	}
	const writers, all = 4, 100
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for n := range all {
				_, _ = write(context.Background(), d, store.Write{Key: at("u", fmt.Sprintf("%04d", n)), Data: []byte("x")})
			}
		})
	}
	defer wg.Wait()
	for seen, after := 0, ""; seen < all; {
		token(t, tokens, fmt.Sprintf("though %d of %d documents are seen", seen, all))
		docs := list(t, d, store.Query{Collection: collection, UID: "u", After: after, Limit: 1000})
		if seen += len(docs); len(docs) > 0 {
			after = docs[len(docs)-1].Key.Key
		}
	}
}

func testTailEnds(t *testing.T, open Opener) {
	d := open()
	ctx, cancel := context.WithCancel(context.Background())
	tokens, err := d.Tail(ctx, collection, "u", "")
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	deadline := time.After(patience)
	for {
		select {
		case _, open := <-tokens:
			if open {
				continue
			}
			put(t, d, at("u", "k"), 0, "x") // nobody listens; nothing breaks
			return
		case <-deadline:
			t.Fatal("the channel stays open")
		}
	}
}
