package sqlite

// migrations make the schema, each run once and in order. What stands here was
// run by somebody: change it by adding.
func migrations() []string { return []string{schema1, renameEvents, subscriptions} }

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
