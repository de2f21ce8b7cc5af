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
	voidLeases, insert, insertOnce, claim, next, extend *sql.Stmt
	remove, promote, retry, kill                        *sql.Stmt
	forget, forgetDead, letter, revive, drop            *sql.Stmt

	dead, depth, deadDepth, backlogs *sql.Stmt
}

func (s *statements) prepare(ctx context.Context, db *litedb.DB) (err error) {
	const (
		columns = `INSERT INTO messages (topic, consumer, key, id, body, published, not_before, ready, head, token, attempt, reason) `
		isHead  = `NOT EXISTS (SELECT 1 FROM messages WHERE topic = ?1 AND consumer = ?2 AND key = ?3)`
		values  = `SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ` + isHead + `, 0, 0, ''`
		under   = ` WHERE key = ?1 OR (key >= ?1 || '/' AND key < ?1 || '0')` // '0' is the byte after '/'
	)
	for _, p := range []struct {
		stmt **sql.Stmt
		text string
	}{
		{&s.voidLeases, `UPDATE messages SET token = 0, ready = ? WHERE token <> 0`},
		{&s.insert, columns + values},
		{&s.insertOnce, columns + values + ` WHERE NOT EXISTS (
			SELECT 1 FROM messages WHERE topic = ?1 AND consumer = ?2 AND key = ?3 AND id = ?4 AND id <> '' AND attempt = 0)`},
		{&s.claim, `UPDATE messages SET token = ?1, ready = ?2, attempt = attempt + 1 WHERE seq IN (
			SELECT seq FROM messages WHERE topic = ?3 AND consumer = ?4 AND head = 1 AND ready <= ?5 ORDER BY ready LIMIT ?6)
			RETURNING seq, key, id, body, published, not_before, attempt, reason`},
		{&s.next, `SELECT ready FROM messages WHERE topic = ? AND consumer = ? AND head = 1 ORDER BY ready LIMIT 1`},
		{&s.extend, `UPDATE messages SET ready = ? WHERE seq = ? AND token = ?`},
		{&s.remove, `DELETE FROM messages WHERE seq = ? AND token = ?`},
		{&s.promote, `UPDATE messages SET head = 1 WHERE seq = (SELECT min(seq) FROM messages WHERE topic = ? AND consumer = ? AND key = ?)`},
		{&s.retry, `UPDATE messages SET token = 0, ready = ?, reason = ? WHERE seq = ? AND token = ?`},
		{&s.kill, `INSERT INTO dead (topic, consumer, key, id, body, published, not_before, attempt, reason, died)
			SELECT topic, consumer, key, id, body, published, not_before, attempt, ?, ? FROM messages WHERE seq = ? AND token = ?`},
		{&s.forget, `DELETE FROM messages` + under},
		{&s.forgetDead, `DELETE FROM dead` + under},
		{&s.letter, `SELECT topic, consumer FROM dead WHERE seq = ?`},
		{&s.revive, columns + `SELECT topic, consumer, key, id, body, published, not_before, ?2,
			NOT EXISTS (SELECT 1 FROM messages m WHERE m.topic = dead.topic AND m.consumer = dead.consumer AND m.key = dead.key), 0, 0, ''
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
		{&s.dead, `SELECT seq, key, id, body, published, not_before, attempt, reason, died FROM dead
			WHERE topic = ? AND consumer = ? AND seq > ? ORDER BY seq LIMIT ?`},
		{&s.depth, `SELECT count(*), count(*) FILTER (WHERE token <> 0 AND ready > ?3) FROM messages WHERE topic = ?1 AND consumer = ?2`},
		{&s.deadDepth, `SELECT count(*) FROM dead WHERE topic = ? AND consumer = ?`},
		{&s.backlogs, `SELECT topic, consumer, sum(waits), sum(leased), sum(died) FROM (
			SELECT topic, consumer, count(*) FILTER (WHERE token = 0 OR ready <= ?1) AS waits, count(*) FILTER (WHERE token <> 0 AND ready > ?1) AS leased, 0 AS died
				FROM messages GROUP BY topic, consumer
			UNION ALL SELECT topic, consumer, 0, 0, count(*) FROM dead GROUP BY topic, consumer)
			GROUP BY topic, consumer ORDER BY topic, consumer`},
	} {
		if *p.stmt, err = db.Reader().PrepareContext(ctx, p.text); err != nil {
			return fmt.Errorf("prepare %q: %w", p.text, err)
		}
	}
	return nil
}
