-- A key that was destroyed keeps its row, without the key.
CREATE TABLE data_keys (
    id           BYTEA PRIMARY KEY CHECK (length(id) = 12),
    tenant       TEXT NOT NULL COLLATE "C",
    subject      TEXT NOT NULL COLLATE "C",
    wrapped      BYTEA,
    kek          TEXT,
    made_at      BIGINT NOT NULL,
    destroyed_at BIGINT,
    -- What new data of the subject is sealed with.
    live         BOOLEAN NOT NULL,
    CHECK ((wrapped IS NULL) = (destroyed_at IS NOT NULL)),
    CHECK ((wrapped IS NULL) = (kek IS NULL)),
    CHECK (wrapped IS NOT NULL OR NOT live)
);
CREATE INDEX data_keys_subject ON data_keys (tenant, subject);
CREATE INDEX data_keys_kek ON data_keys (kek) WHERE kek IS NOT NULL;
CREATE UNIQUE INDEX data_keys_live ON data_keys (tenant, subject) WHERE live;
-- Moves with every key that is destroyed.
CREATE TABLE key_epoch (one BOOLEAN PRIMARY KEY DEFAULT true CHECK (one), n BIGINT NOT NULL);
INSERT INTO key_epoch (n) VALUES (1);
