package pubsub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/clarity-loop/clarity/services/queue"
	"github.com/clarity-loop/clarity/services/store"
)

// letter is the ID of the letter that has the key: topic.consumer.time:message.
func (s subscription) letter(key string) string {
	return s.topic + "." + s.consumer + "." + strings.TrimPrefix(key, string(dead))
}

// parseLetter is the reverse. What is none names no letter.
func parseLetter(id string) (s subscription, k store.Key, err error) {
	parts := strings.SplitN(id, ".", 3)
	if len(parts) != 3 || !legalName.MatchString(parts[0]) || !legalName.MatchString(parts[1]) {
		return s, k, queue.ErrNoLetter
	}
	s = subscription{parts[0], parts[1]}
	k = store.Key{Collection: agenda, UID: s.uid(), Key: string(dead) + parts[2]}
	if k.Check() != nil {
		return s, k, queue.ErrNoLetter
	}
	return s, k, nil
}

// Dead lists a subscription's dead letters, oldest first, after the one given.
func (q *Queue) Dead(ctx context.Context, topic, name, after string, limit int) ([]queue.DeadLetter, error) {
	if limit < 1 || limit > queue.MaxDead {
		return nil, fmt.Errorf("list dead letters of %s: limit %d is not within 1 to %d", topic, limit, queue.MaxDead)
	}
	if err := q.usable(ctx); err != nil {
		return nil, faulted("list dead letters", err)
	}
	of := subscription{topic, name}
	if err := q.mustHaveLetters(ctx, of); err != nil {
		return nil, faulted("list dead letters", err)
	}
	query := dead.query(of.uid())
	query.Limit = limit
	if after != "" {
		from, k, err := parseLetter(after)
		if err != nil || from != of {
			return nil, fmt.Errorf("list dead letters of %s: %w", topic, queue.ErrNoLetter)
		}
		query.After = k.Key
	}
	docs, err := q.shelf.List(ctx, query)
	if err != nil {
		return nil, faulted("list dead letters", err)
	}
	letters := make([]queue.DeadLetter, len(docs))
	for i, d := range docs {
		if letters[i], err = letterOf(of, d); err != nil {
			return nil, faulted("list dead letters", err)
		}
	}
	return letters, nil
}

// mustHaveLetters refuses a subscription that is not on the list and of which there
// is no letter either.
func (q *Queue) mustHaveLetters(ctx context.Context, of subscription) error {
	unknown := q.known("list dead letters", of.topic, of.consumer)
	if unknown == nil || legal(queue.Consumers{of.topic: {of.consumer}}) != nil {
		return unknown
	}
	query := dead.query(of.uid())
	query.Limit = 1
	docs, err := q.shelf.List(ctx, query)
	if err == nil && len(docs) == 0 {
		err = unknown
	}
	return err
}

// Replay has the letter's message wait for the consumer that gave it up, whose
// receivers send it on its way again.
func (q *Queue) Replay(ctx context.Context, id string) error {
	of, d, err := q.find(ctx, id)
	if err == nil && !q.consumers.Has(of.topic, of.consumer) {
		err = queue.ErrNoSubscription // it would be neither handled nor listed
	}
	if err != nil {
		return faulted("replay", err)
	}
	var kept letter
	if err := json.Unmarshal(d.Data, &kept); err != nil {
		return faulted("replay", err)
	}
	p := kept.forOne(of.consumer)
	delete(p.Attrs, attrAttempt)
	delete(p.Attrs, attrFailed)
	delete(p.Attrs, attrFell)
	if err := q.shelf.put(ctx, of, p, 0); err != nil {
		return faulted("replay", err)
	}
	return faulted("replay", q.takeLetter(ctx, d))
}

// Drop removes the dead letter for good.
func (q *Queue) Drop(ctx context.Context, id string) error {
	_, d, err := q.find(ctx, id)
	if err == nil {
		err = q.takeLetter(ctx, d)
	}
	return faulted("drop", err)
}

func (q *Queue) find(ctx context.Context, id string) (of subscription, d store.Document, err error) {
	if err := q.usable(ctx); err != nil {
		return of, d, err
	}
	of, k, err := parseLetter(id)
	if err != nil {
		return of, d, err
	}
	d, err = q.shelf.Get(ctx, k)
	if errors.Is(err, store.ErrNotFound) {
		err = queue.ErrNoLetter
	}
	return of, d, err
}

// takeLetter removes the letter, where nobody was first.
func (q *Queue) takeLetter(ctx context.Context, d store.Document) error {
	err := q.shelf.remove(ctx, d)
	if errors.Is(err, store.ErrConflict) {
		return queue.ErrNoLetter
	}
	return err
}

// Forget removes what waits on the shelf and the letters, of every subscription
// that there is.
func (q *Queue) Forget(ctx context.Context, key string) error {
	if key == "" {
		return errors.New("forget messages: no key")
	}
	if err := q.usable(ctx); err != nil {
		return faulted("forget", err)
	}
	all, err := q.unlisted(ctx)
	if err != nil {
		return faulted("forget", err)
	}
	for topic, names := range q.consumers {
		for _, name := range names {
			all = append(all, subscription{topic, name})
		}
	}
	for _, s := range all {
		if err := q.shelf.forget(ctx, s, key); err != nil {
			return faulted("forget", err)
		}
	}
	return nil
}
