package sqlite

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/clarity-loop/clarity/services/internal/litedb"
)

// statements are prepared once. Those above the line belong to the connection
// that writes: only commit uses them.
type statements struct {
	voidLeases, bound, demote, insert, claim, suspects, suspect, next, extend *sql.Stmt
	remove, promote, putOff, kill                                             *sql.Stmt
	forget, forgetDead, letter, revive, drop                                  *sql.Stmt

	dead, depth, backlogs *sql.Stmt
}

func (s *statements) prepare(ctx context.Context, db *litedb.DB) (err error) {
	const (
		columns = `INSERT INTO messages (topic, consumer, key, body, published, not_before, ready, wait, head, token, attempt, reason, trace) `
		isHead  = `NOT EXISTS (SELECT 1 FROM messages WHERE topic = ?1 AND consumer = ?2 AND key = ?3 AND head = 1)`
		under   = ` WHERE key = ?1 OR (key >= ?1 || '/' AND key < ?1 || '0')` // '0' is the byte after '/'
		lease   = `UPDATE messages SET token = ?1, ready = ?5 + ?2, wait = ?2, attempt = attempt + 1 WHERE seq IN (
			SELECT seq FROM messages WHERE topic = ?3 AND consumer = ?4 AND head = 1 AND ready <= ?5`
		leased = ` ORDER BY ready LIMIT ?6) RETURNING seq, key, body, published, not_before, attempt, failed, fell, reason, trace`
	)
	for _, p := range []struct {
		stmt **sql.Stmt
		text string
	}{
		{&s.voidLeases, `UPDATE messages SET token = 0, ready = ?, wait = 0, fell = fell + 1, failed = failed + 1 WHERE token <> 0`},
		{&s.bound, `UPDATE messages SET ready = ?1 + wait WHERE ready > ?1 + wait`},
		{&s.insert, columns + `SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?5 + ?7, ?7, ` + isHead + `, 0, 0, '', ?8`},
		{&s.claim, lease + leased},
		{&s.suspects, `SELECT count(*) FROM (SELECT 1 FROM messages WHERE topic = ? AND consumer = ? AND head = 1 AND ready <= ? AND fell > 0 LIMIT 1)`},
		{&s.suspect, lease + ` AND fell > 0` + leased},
		{&s.next, `SELECT ready FROM messages WHERE topic = ? AND consumer = ? AND head = 1 ORDER BY ready LIMIT 1`},
		{&s.extend, `UPDATE messages SET ready = ?1 + ?2, wait = ?2 WHERE seq = ?3 AND token = ?4`},
		{&s.remove, `DELETE FROM messages WHERE seq = ? AND token = ?`},
		{&s.promote, `UPDATE messages SET head = 1, ready = max(ready, ?4) WHERE seq = (
			SELECT seq FROM messages WHERE topic = ?1 AND consumer = ?2 AND key = ?3 ORDER BY ready LIMIT 1)`},
		{&s.demote, `UPDATE messages SET head = 0 WHERE topic = ? AND consumer = ? AND key = ? AND head = 1 AND token = 0 AND ready > ?`},
		{&s.putOff, `UPDATE messages SET token = 0, head = 0, ready = ?1 + ?2, wait = ?2, reason = ?3, fell = fell + ?4, failed = failed + ?5,
			seq = (SELECT max(seq) + 1 FROM messages) WHERE seq = ?6 AND token = ?7`},
		{&s.kill, `INSERT INTO dead (topic, consumer, key, body, published, not_before, attempt, reason, died, trace)
			SELECT topic, consumer, key, body, published, not_before, attempt, ?, ?, trace FROM messages WHERE seq = ? AND token = ?`},
		{&s.forget, `DELETE FROM messages` + under},
		{&s.forgetDead, `DELETE FROM dead` + under},
		{&s.letter, `SELECT topic, consumer, key FROM dead WHERE seq = ?`},
		{&s.revive, columns + `SELECT topic, consumer, key, body, published, not_before, ?2, 0,
			NOT EXISTS (SELECT 1 FROM messages m WHERE m.topic = dead.topic AND m.consumer = dead.consumer AND m.key = dead.key AND m.head = 1), 0, 0, '', trace
			FROM dead WHERE seq = ?1`},
		{&s.drop, `DELETE FROM dead WHERE seq = ?`},
	} {
		if *p.stmt, err = db.Prepare(ctx, p.text); err != nil {
			return err
		}
	}
	for _, p := range []struct {
		stmt **sql.Stmt
		text string
	}{
		{&s.dead, `SELECT seq, key, body, published, not_before, attempt, reason, died, trace FROM dead
			WHERE topic = ? AND consumer = ? AND seq > ? ORDER BY seq LIMIT ?`},
		{&s.depth, `SELECT messages, dead FROM counts WHERE topic = ? AND consumer = ?`},
		{&s.backlogs, `SELECT topic, consumer, messages, dead FROM counts WHERE messages + dead > 0 ORDER BY topic, consumer`},
	} {
		if *p.stmt, err = db.Reader().PrepareContext(ctx, p.text); err != nil {
			return fmt.Errorf("prepare %q: %w", p.text, err)
		}
	}
	return nil
}
