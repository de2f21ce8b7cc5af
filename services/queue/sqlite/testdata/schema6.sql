-- A queue.db as the release before left it: two uploads wait, a result is in hand, one upload is dead.
CREATE TABLE counts (
	topic TEXT NOT NULL,
	consumer TEXT NOT NULL,
	messages INTEGER NOT NULL,
	dead INTEGER NOT NULL,
	PRIMARY KEY (topic, consumer)
) STRICT, WITHOUT ROWID;
INSERT INTO "counts" VALUES('results','insights',1,0);
INSERT INTO "counts" VALUES('uploads','intake',2,1);
CREATE TABLE dead (
	seq INTEGER PRIMARY KEY AUTOINCREMENT, -- the order of death
	topic TEXT NOT NULL,
	key TEXT NOT NULL,
	body BLOB NOT NULL,
	published INTEGER NOT NULL,
	not_before INTEGER NOT NULL,
	attempt INTEGER NOT NULL,
	reason TEXT NOT NULL,
	died INTEGER NOT NULL
, consumer TEXT NOT NULL DEFAULT '') STRICT;
INSERT INTO "dead" VALUES(1,'uploads','ben',X'64656164',1764500000000000000,0,3,'poison',1764500003000000000,'intake');
CREATE TABLE messages (
	seq INTEGER PRIMARY KEY, -- the order of publication
	topic TEXT NOT NULL,
	key TEXT NOT NULL,
	body BLOB NOT NULL,
	published INTEGER NOT NULL, -- times are nanoseconds since 1970
	not_before INTEGER NOT NULL,
	head INTEGER NOT NULL,    -- 1: the first of its topic and key
	ready INTEGER NOT NULL,   -- when a head may be delivered
	token INTEGER NOT NULL,   -- of the lease; 0: none
	attempt INTEGER NOT NULL, -- deliveries so far
	reason TEXT NOT NULL      -- of the last retry
, consumer TEXT NOT NULL DEFAULT '', wait INTEGER NOT NULL DEFAULT 0, fell INTEGER NOT NULL DEFAULT 0, failed INTEGER NOT NULL DEFAULT 0) STRICT;
INSERT INTO "messages" VALUES(1,'uploads','anna',X'75706C6F61642031',1764500000000000000,0,1,1764500000000000000,0,0,'','intake',0,0,0);
INSERT INTO "messages" VALUES(2,'uploads','anna',X'75706C6F61642032',1764500001000000000,0,0,1764500001000000000,0,2,'why','intake',0,0,2);
INSERT INTO "messages" VALUES(3,'results','anna',X'726573756C74',1764500002000000000,0,1,1764500002000000000,7,1,'','insights',0,0,0);
CREATE INDEX messages_ready ON messages (topic, consumer, ready) WHERE head = 1;
CREATE INDEX dead_line ON dead (topic, consumer);
CREATE INDEX messages_suspect ON messages (topic, consumer, ready) WHERE head = 1 AND fell > 0;
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
END;
CREATE INDEX messages_line ON messages (topic, consumer, key, ready);
CREATE INDEX messages_head ON messages (topic, consumer, key) WHERE head = 1;
INSERT INTO "sqlite_sequence" VALUES('dead',1);
PRAGMA user_version = 6;
