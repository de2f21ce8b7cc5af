package main

import (
	"database/sql"
	"path/filepath"

	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"google.golang.org/protobuf/proto"

	_ "modernc.org/sqlite"
)

// A disk keeps what the broker has in memory. It is written before a call is
// answered, and read when the broker opens.
type disk struct{ db *sql.DB }

const schema = `
CREATE TABLE IF NOT EXISTS topics (name TEXT PRIMARY KEY, proto BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS subscriptions (name TEXT PRIMARY KEY, proto BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS messages (id INTEGER PRIMARY KEY AUTOINCREMENT, proto BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS items (subscription TEXT NOT NULL, id INTEGER NOT NULL, attempt INTEGER NOT NULL, PRIMARY KEY (subscription, id)) WITHOUT ROWID;
`

func openDisk(dir string) (*disk, error) {
	place := "file::memory:"
	if dir != "" {
		place = "file:" + filepath.Join(dir, "pubsub.db") + "?_pragma=journal_mode(wal)&_pragma=synchronous(normal)"
	}
	db, err := sql.Open("sqlite", place)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	if _, err := db.Exec(schema); err != nil {
		return nil, err
	}
	return &disk{db}, nil
}

// A change is a statement and its arguments.
type change struct {
	statement string
	args      []any
}

// apply makes the changes, all or none.
func (d *disk) apply(changes ...change) error {
	if len(changes) == 0 {
		return nil
	}
	tx, err := d.db.Begin()
	if err != nil {
		return err
	}
	for _, c := range changes {
		if _, err := tx.Exec(c.statement, c.args...); err != nil {
			_ = tx.Rollback()
			return err
		}
	}
	return tx.Commit()
}

func keepTopic(t *pubsubpb.Topic) change {
	return change{`INSERT OR REPLACE INTO topics VALUES (?, ?)`, []any{t.GetName(), encoded(t)}}
}

func dropTopic(name string) change { return change{`DELETE FROM topics WHERE name = ?`, []any{name}} }

func keepSubscription(s *pubsubpb.Subscription) change {
	return change{`INSERT OR REPLACE INTO subscriptions VALUES (?, ?)`, []any{s.GetName(), encoded(s)}}
}

func dropSubscription(name string) []change {
	return []change{
		{`DELETE FROM subscriptions WHERE name = ?`, []any{name}},
		{`DELETE FROM items WHERE subscription = ?`, []any{name}},
	}
}

func keepMessage(id int64, m *pubsubpb.PubsubMessage) change {
	return change{`INSERT INTO messages VALUES (?, ?)`, []any{id, encoded(m)}}
}

func dropMessage(id int64) change { return change{`DELETE FROM messages WHERE id = ?`, []any{id}} }

func keepItem(subscription string, id int64, attempt int) change {
	return change{`INSERT OR REPLACE INTO items VALUES (?, ?, ?)`, []any{subscription, id, attempt}}
}

func dropItem(subscription string, id int64) change {
	return change{`DELETE FROM items WHERE subscription = ? AND id = ?`, []any{subscription, id}}
}

func encoded(m proto.Message) []byte {
	b, err := proto.Marshal(m)
	if err != nil {
		panic(err) // it came over the wire
	}
	return b
}

// rows reads a query whose rows have the columns scanned.
func (d *disk) rows(query string, row func(scan func(...any) error) error) error {
	rows, err := d.db.Query(query)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := row(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}

// load reads all that is kept into the broker.
func (d *disk) load(b *broker) error {
	err := d.rows(`SELECT proto FROM topics`, func(scan func(...any) error) error {
		t := &pubsubpb.Topic{}
		if err := scanned(scan, t); err != nil {
			return err
		}
		b.topics[t.GetName()] = t
		return nil
	})
	if err == nil {
		err = d.rows(`SELECT proto FROM subscriptions`, func(scan func(...any) error) error {
			s := &pubsubpb.Subscription{}
			if err := scanned(scan, s); err != nil {
				return err
			}
			b.subs[s.GetName()] = newSubscription(s)
			return nil
		})
	}
	if err == nil {
		err = d.loadItems(b)
	}
	if err == nil {
		err = d.rows(`SELECT seq FROM sqlite_sequence WHERE name = 'messages'`, func(scan func(...any) error) error { return scan(&b.last) })
	}
	return err
}

func (d *disk) loadItems(b *broker) error {
	messages := map[int64]*message{}
	err := d.rows(`SELECT id, proto FROM messages`, func(scan func(...any) error) error {
		m := &message{proto: &pubsubpb.PubsubMessage{}}
		var raw []byte
		if err := scan(&m.id, &raw); err != nil {
			return err
		}
		messages[m.id] = m
		return proto.Unmarshal(raw, m.proto)
	})
	if err != nil {
		return err
	}
	return d.rows(`SELECT subscription, id, attempt FROM items ORDER BY id`, func(scan func(...any) error) error {
		var name string
		var id int64
		var attempt int
		if err := scan(&name, &id, &attempt); err != nil {
			return err
		}
		if s, m := b.subs[name], messages[id]; s != nil && m != nil {
			s.add(m).attempt = attempt
		}
		return nil
	})
}

func scanned(scan func(...any) error, m proto.Message) error {
	var raw []byte
	if err := scan(&raw); err != nil {
		return err
	}
	return proto.Unmarshal(raw, m)
}

func (d *disk) close() error { return d.db.Close() }
