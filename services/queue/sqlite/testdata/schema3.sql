-- A queue.db as the release before left it: two uploads and a window wait, a result is in hand,
-- an event was published by a clock that was ahead, one upload is dead.
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
, consumer TEXT NOT NULL DEFAULT '') STRICT;
INSERT INTO "dead" VALUES(5,'uploads','bert','',X'64656164',1700000000000000000,0,10,'why',1700000000000000009,'intake');
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
, consumer TEXT NOT NULL DEFAULT '') STRICT;
INSERT INTO "messages" VALUES(1,'uploads','anna','',X'75706C6F61642031',1700000000000000000,0,1,1700000000000000000,0,0,'','intake');
INSERT INTO "messages" VALUES(2,'uploads','anna','',X'75706C6F61642032',1700000000000000001,0,0,1700000000000000001,0,0,'','intake');
INSERT INTO "messages" VALUES(3,'analyses','anna','anna/2026-11-01',X'77696E646F77',1700000000000000000,1700000001500000000,1,1700000001500000000,0,0,'','analyse');
INSERT INTO "messages" VALUES(4,'results','bert','',X'726573756C74',1700000000000000000,0,1,1700000060000000000,7,2,'away','insights');
INSERT INTO "messages" VALUES(5,'events','bert','',X'6576656E74',5700000000000000000,0,1,5700000000000000000,0,0,'','feed');
CREATE INDEX messages_line ON messages (topic, consumer, key);
CREATE INDEX messages_ready ON messages (topic, consumer, ready) WHERE head = 1;
CREATE INDEX messages_id ON messages (topic, consumer, key, id) WHERE attempt = 0 AND id <> '';
CREATE INDEX dead_line ON dead (topic, consumer);
UPDATE sqlite_sequence SET seq = 5;
PRAGMA user_version = 3;
