-- A queue.db as the first release left it: two events and an upload wait, one event is dead.
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
CREATE INDEX dead_topic ON dead (topic);
INSERT INTO messages VALUES (1, 'deliveries', 'anna', '', x'6576656e742031', 1, 0, 1, 1, 0, 0, '');
INSERT INTO messages VALUES (2, 'deliveries', 'anna', '', x'6576656e742032', 2, 0, 0, 2, 0, 0, '');
INSERT INTO messages VALUES (3, 'uploads', 'anna', '', x'75706c6f6164', 3, 0, 1, 3, 7, 1, 'before');
INSERT INTO messages VALUES (4, 'unknown', 'anna', '', x'6f6c64', 4, 0, 1, 4, 0, 0, '');
INSERT INTO messages VALUES (5, 'unknown', 'bert', '', x'6f6c64', 5, 0, 1, 5, 9, 1, '');
INSERT INTO dead VALUES (1, 'deliveries', 'bert', '', x'64656164', 1, 0, 10, 'why', 4);
INSERT INTO dead VALUES (2, 'unknown', 'bert', '', x'6c6f7374', 2, 0, 10, 'why', 5);
PRAGMA user_version = 1;
