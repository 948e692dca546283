-- A key that was destroyed keeps its row, without the key.
CREATE TABLE data_keys (
    id           BLOB PRIMARY KEY CHECK (length(id) = 12),
    tenant       TEXT NOT NULL,
    subject      TEXT NOT NULL,
    wrapped      BLOB,
    kek          TEXT,
    made_at      INTEGER NOT NULL,
    destroyed_at INTEGER,
    -- What new data of the subject is sealed with.
    live         INTEGER NOT NULL,
    CHECK ((wrapped IS NULL) = (destroyed_at IS NOT NULL)),
    CHECK ((wrapped IS NULL) = (kek IS NULL)),
    CHECK (wrapped IS NOT NULL OR NOT live)
) STRICT, WITHOUT ROWID;
CREATE INDEX data_keys_subject ON data_keys (tenant, subject);
CREATE INDEX data_keys_kek ON data_keys (kek) WHERE kek IS NOT NULL;
CREATE UNIQUE INDEX data_keys_live ON data_keys (tenant, subject) WHERE live = 1;
-- Moves with every key that is destroyed.
CREATE TABLE key_epoch (one INTEGER PRIMARY KEY CHECK (one = 1), n INTEGER NOT NULL) STRICT;
INSERT INTO key_epoch (one, n) VALUES (1, 1);
