package sqlite

// migrations make the schema, each run once and in order. What stands here was
// run by somebody: change it by adding.
func migrations() []string {
	return []string{schema1, renameEvents, subscriptions, waits, heads, failures, traces}
}

const schema1 = `
CREATE TABLE messages (
	seq INTEGER PRIMARY KEY, -- the order of publication
	topic TEXT NOT NULL,
	key TEXT NOT NULL,
	id TEXT NOT NULL,
	body BLOB NOT NULL,
	published INTEGER NOT NULL, -- times are nanoseconds since 1970
	not_before INTEGER NOT NULL,
	head INTEGER NOT NULL,    -- 1: the first of its topic and key
	ready INTEGER NOT NULL,   -- when a head may be delivered
	token INTEGER NOT NULL,   -- of the lease; 0: none
	attempt INTEGER NOT NULL, -- deliveries so far
	reason TEXT NOT NULL      -- of the last retry
) STRICT;
CREATE INDEX messages_line ON messages (topic, key);
CREATE INDEX messages_ready ON messages (topic, ready) WHERE head = 1;
CREATE INDEX messages_id ON messages (topic, key, id) WHERE attempt = 0 AND id <> '';
CREATE TABLE dead (
	seq INTEGER PRIMARY KEY AUTOINCREMENT, -- the order of death
	topic TEXT NOT NULL,
	key TEXT NOT NULL,
	id TEXT NOT NULL,
	body BLOB NOT NULL,
	published INTEGER NOT NULL,
	not_before INTEGER NOT NULL,
	attempt INTEGER NOT NULL,
	reason TEXT NOT NULL,
	died INTEGER NOT NULL
) STRICT;
CREATE INDEX dead_topic ON dead (topic);`

// renameEvents moves what waits for a person's devices to the topic's new name.
const renameEvents = `
UPDATE messages SET topic = 'events' WHERE topic = 'deliveries';
UPDATE dead SET topic = 'events' WHERE topic = 'deliveries';`

// subscriptions gives every message the one consumer that its topic had, and the
// order of a key to each consumer apart.
const subscriptions = `
ALTER TABLE messages ADD COLUMN consumer TEXT NOT NULL DEFAULT '';
ALTER TABLE dead ADD COLUMN consumer TEXT NOT NULL DEFAULT '';
UPDATE messages SET consumer = CASE topic
	WHEN 'uploads' THEN 'intake' WHEN 'analyses' THEN 'analyse' WHEN 'results' THEN 'insights' WHEN 'events' THEN 'feed' ELSE '' END;
UPDATE dead SET consumer = CASE topic
	WHEN 'uploads' THEN 'intake' WHEN 'analyses' THEN 'analyse' WHEN 'results' THEN 'insights' WHEN 'events' THEN 'feed' ELSE '' END;
DROP INDEX messages_line;
DROP INDEX messages_ready;
DROP INDEX messages_id;
DROP INDEX dead_topic;
CREATE INDEX messages_line ON messages (topic, consumer, key);
CREATE INDEX messages_ready ON messages (topic, consumer, ready) WHERE head = 1;
CREATE INDEX messages_id ON messages (topic, consumer, key, id) WHERE attempt = 0 AND id <> '';
CREATE INDEX dead_line ON dead (topic, consumer);`

// waits keeps how long a message waits beside until when, so that no clock that
// was wrong makes it longer; how often it took its handler down apart from its
// attempts; and the number of messages with the writes. What the release before
// kept apart from each other by an id is kept.
const waits = `
DROP INDEX messages_id;
ALTER TABLE messages DROP COLUMN id;
ALTER TABLE dead DROP COLUMN id;
ALTER TABLE messages ADD COLUMN wait INTEGER NOT NULL DEFAULT 0; -- of ready, when that was set
ALTER TABLE messages ADD COLUMN fell INTEGER NOT NULL DEFAULT 0; -- deliveries that took the handler down
UPDATE messages SET wait = CASE
	WHEN attempt > 0 THEN 300000000000
	ELSE max(0, min(3600000000000, not_before - published)) END;
CREATE INDEX messages_suspect ON messages (topic, consumer, ready) WHERE head = 1 AND fell > 0;
CREATE TABLE counts (
	topic TEXT NOT NULL,
	consumer TEXT NOT NULL,
	messages INTEGER NOT NULL,
	dead INTEGER NOT NULL,
	PRIMARY KEY (topic, consumer)
) STRICT, WITHOUT ROWID;
INSERT INTO counts SELECT topic, consumer, sum(alive), sum(died) FROM (
	SELECT topic, consumer, 1 AS alive, 0 AS died FROM messages
	UNION ALL SELECT topic, consumer, 0, 1 FROM dead) WHERE true GROUP BY topic, consumer;
CREATE TRIGGER messages_more AFTER INSERT ON messages BEGIN
	INSERT INTO counts VALUES (new.topic, new.consumer, 1, 0) ON CONFLICT DO UPDATE SET messages = messages + 1;
END;
CREATE TRIGGER messages_less AFTER DELETE ON messages BEGIN
	UPDATE counts SET messages = messages - 1 WHERE topic = old.topic AND consumer = old.consumer;
END;
CREATE TRIGGER dead_more AFTER INSERT ON dead BEGIN
	INSERT INTO counts VALUES (new.topic, new.consumer, 0, 1) ON CONFLICT DO UPDATE SET dead = dead + 1;
END;
CREATE TRIGGER dead_less AFTER DELETE ON dead BEGIN
	UPDATE counts SET dead = dead - 1 WHERE topic = old.topic AND consumer = old.consumer;
END;`

// heads finds a key's head, and the next one by the time it is ready, without
// looking at all that the key has.
const heads = `
DROP INDEX messages_line;
CREATE INDEX messages_line ON messages (topic, consumer, key, ready);
CREATE INDEX messages_head ON messages (topic, consumer, key) WHERE head = 1;`

// failures counts how often a message failed apart from how often it came.
const failures = `
ALTER TABLE messages ADD COLUMN failed INTEGER NOT NULL DEFAULT 0;`

// traces keeps whose doing a message is.
const traces = `
ALTER TABLE messages ADD COLUMN trace TEXT NOT NULL DEFAULT ''; -- the traceparent; '': none
ALTER TABLE dead ADD COLUMN trace TEXT NOT NULL DEFAULT '';`
