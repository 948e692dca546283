-- The log. Positions are dense and taken under the writers' lock; see
-- src/writer.rs for why (position) is the only key that orders writers.
CREATE TABLE events (
    position       BIGINT   NOT NULL PRIMARY KEY,
    tenant         TEXT     NOT NULL,
    kind           TEXT     NOT NULL,
    stream         TEXT     NOT NULL,
    version        BIGINT   NOT NULL,
    event_id       UUID     NOT NULL,
    type           TEXT     NOT NULL,
    schema         INTEGER  NOT NULL,
    -- Instants are microseconds since 1970; the view event_log shows them.
    occurred_at    BIGINT,
    recorded_at    BIGINT   NOT NULL,
    actor          TEXT     NOT NULL,
    command_id     UUID     NOT NULL,
    correlation_id TEXT     NOT NULL,
    causation_id   UUID,
    -- Text, not JSONB: its bytes are part of the leaf.
    payload        TEXT     NOT NULL,
    leaf           BYTEA    NOT NULL
) PARTITION BY RANGE (position);

CREATE FUNCTION events_never_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'recorded events never change';
END $$;

CREATE TRIGGER events_never_change BEFORE UPDATE OR DELETE ON events
    FOR EACH ROW EXECUTE FUNCTION events_never_change();
CREATE TRIGGER events_never_truncated BEFORE TRUNCATE ON events
    FOR EACH STATEMENT EXECUTE FUNCTION events_never_change();

-- Adds partitions of `positions` positions after the last one until `needed`
-- has its place, and says up to where (excluded) there is room. Attaching an
-- empty table does not block those who read or append meanwhile.
CREATE FUNCTION events_make_room(needed BIGINT, positions BIGINT) RETURNS BIGINT LANGUAGE plpgsql AS $$
DECLARE
    room BIGINT;
    partition_name TEXT;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('daybook partitions'), 0);
    SELECT coalesce(max(upto), 1) INTO room FROM events_partitions;
    WHILE room <= needed LOOP
        partition_name := 'events_' || lpad(room::text, 16, '0');
        EXECUTE format('CREATE TABLE %I (LIKE events INCLUDING ALL)', partition_name);
        -- Not a key of the parent, which would have to contain the position.
        EXECUTE format('CREATE UNIQUE INDEX ON %I (tenant, kind, stream, version)', partition_name);
        EXECUTE format('ALTER TABLE events ATTACH PARTITION %I FOR VALUES FROM (%s) TO (%s)',
            partition_name, room, room + positions);
        INSERT INTO events_partitions VALUES (partition_name, room, room + positions);
        room := room + positions;
    END LOOP;
    RETURN room;
END $$;

CREATE TABLE events_partitions (
    name  TEXT   NOT NULL PRIMARY KEY,
    -- Positions first up to, but not including, upto.
    first BIGINT NOT NULL,
    upto  BIGINT NOT NULL
);

CREATE TABLE idempotency (
    tenant         TEXT    NOT NULL,
    key            TEXT    NOT NULL,
    request_hash   BYTEA   NOT NULL,
    reply          TEXT    NOT NULL,
    first_position BIGINT  NOT NULL,
    events         BIGINT  NOT NULL,
    recorded_at    BIGINT  NOT NULL,
    PRIMARY KEY (tenant, key)
);
CREATE INDEX idempotency_age ON idempotency (recorded_at);

CREATE VIEW event_log AS SELECT
    position, tenant, kind, stream, version, type, schema,
    to_timestamp(occurred_at / 1e6) AS occurred_at,
    to_timestamp(recorded_at / 1e6) AS recorded_at,
    actor, event_id, command_id, correlation_id, causation_id,
    payload::json AS payload, encode(leaf, 'hex') AS leaf
FROM events;
