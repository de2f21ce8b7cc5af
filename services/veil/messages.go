package veil

import (
	"bytes"
	"compress/flate"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/clarity-loop/clarity/services/queue"
)

// Messages is a queue.Driver over another, which never sees a uid: the key is the
// person's name, and the body is sealed with the key. Messages that the releases
// before have published are handed on as they are.
type Messages struct {
	queue.Driver
	veil *veil
	log  *slog.Logger
}

var _ queue.Driver = (*Messages)(nil)

// NewMessages is the driver over q. It logs nothing where it has no log.
func NewMessages(q queue.Driver, n Namer, log *slog.Logger) *Messages {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Messages{q, newVeil(n), log}
}

// What begins the body of a message that is sealed, as JSON never does: whether it was
// packed first, so that sealing makes no body too large that was not.
const (
	veiled = 0x01
	packed = 0x02
)

// pack makes room for the seal in what would have none.
func pack(plain []byte) (form byte, _ []byte, err error) {
	if len(plain) <= queue.MaxBody/2 {
		return veiled, plain, nil
	}
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, flate.BestSpeed)
	if err == nil {
		_, err = w.Write(plain)
	}
	if err == nil {
		err = w.Close()
	}
	return packed, b.Bytes(), err
}

func unpack(form byte, plain []byte) ([]byte, error) {
	if form == veiled {
		return plain, nil
	}
	const most = 2 * queue.MaxBody // and the key
	r := flate.NewReader(bytes.NewReader(plain))
	plain, err := io.ReadAll(io.LimitReader(r, most))
	if err != nil || len(plain) == most {
		return nil, errForeign
	}
	return plain, nil
}

// key is the one that the driver is given: what is behind a slash stays.
func (m *Messages) key(ctx context.Context, key string) (string, error) {
	if key == "" {
		return "", nil
	}
	uid, rest, part := strings.Cut(key, "/")
	name, err := m.veil.name(ctx, uid)
	if part {
		name += "/" + rest
	}
	return name, err
}

// Publish stores the messages.
func (m *Messages) Publish(ctx context.Context, msgs ...queue.Message) error {
	sealed := make([]queue.Message, len(msgs))
	for i, msg := range msgs {
		if len(msg.Body) > queue.MaxBody {
			return queue.Fault("publish", fmt.Errorf("body of %d bytes is over the limit of %d", len(msg.Body), queue.MaxBody))
		}
		body := append(binary.AppendUvarint(nil, uint64(len(msg.Key))), msg.Key...)
		form, body, err := pack(append(body, msg.Body...))
		if err != nil {
			return queue.Fault("publish", err)
		}
		if body, err = m.veil.seal(ctx, ofMessages, body); err != nil {
			return err
		}
		if msg.Key, err = m.key(ctx, msg.Key); err != nil {
			return err
		}
		msg.Body = append([]byte{form}, body...)
		sealed[i] = msg
	}
	return m.Driver.Publish(ctx, sealed...)
}

// reveal is the message as it was published.
func (m *Messages) reveal(ctx context.Context, msg queue.Message) (queue.Message, error) {
	if len(msg.Body) == 0 || msg.Body[0] != veiled && msg.Body[0] != packed {
		return msg, nil
	}
	plain, err := m.veil.open(ctx, ofMessages, msg.Body[1:])
	if err == nil {
		plain, err = unpack(msg.Body[0], plain)
	}
	if err != nil {
		return msg, err
	}
	length, n := binary.Uvarint(plain)
	if n <= 0 || length > uint64(len(plain)-n) { //nolint:gosec // it is not negative
		return msg, errForeign
	}
	msg.Key, msg.Body = string(plain[n:n+int(length)]), plain[n+int(length):] //nolint:gosec // it is within
	return msg, nil
}

// foreign is the reason of a message that no key of these opens.
const foreign = "sealed under other keys"

// Receive hands messages to handle as they were published.
func (m *Messages) Receive(ctx context.Context, sub queue.Subscription, handle queue.Handler) error {
	return m.Driver.Receive(ctx, sub, func(ctx context.Context, d queue.Delivery) queue.Verdict {
		msg, err := m.reveal(ctx, d.Message)
		switch {
		case err == errForeign: //nolint:errorlint // it is never wrapped
			m.log.Error("message cannot be opened", "topic", sub.Topic, "consumer", sub.Name, "attempt", d.Attempt, "reason", foreign)
			return queue.Dead(foreign)
		case err != nil:
			return queue.Retry(0, "names are away")
		}
		d.Message = msg
		return handle(ctx, d)
	})
}

// Dead lists dead letters. One that no key of these opens is as the driver has it.
func (m *Messages) Dead(ctx context.Context, topic, name, after string, limit int) ([]queue.DeadLetter, error) {
	letters, err := m.Driver.Dead(ctx, topic, name, after, limit)
	if err != nil {
		return nil, err
	}
	for i := range letters {
		msg, err := m.reveal(ctx, letters[i].Message)
		if err != nil && err != errForeign { //nolint:errorlint // as above
			return nil, err
		}
		letters[i].Message = msg
	}
	return letters, nil
}

// Forget removes every message of the key, those of the releases before too.
func (m *Messages) Forget(ctx context.Context, key string) error {
	name, err := m.key(ctx, key)
	if err != nil {
		return err
	}
	if err := m.Driver.Forget(ctx, name); err != nil || name == key {
		return err
	}
	return m.Driver.Forget(ctx, key)
}
