-- One building of a projection. Exactly one of a projection is live.
CREATE TABLE projection_generations (
    projection TEXT COLLATE "C" NOT NULL,
    number INTEGER NOT NULL,
    -- ModelId as JSON.
    model TEXT COLLATE "C" NOT NULL,
    -- Its tables as JSON: name and whether sorted.
    tables TEXT COLLATE "C" NOT NULL,
    status TEXT COLLATE "C" NOT NULL,
    position BIGINT NOT NULL,
    epoch BIGINT NOT NULL,
    owner TEXT COLLATE "C" NOT NULL,
    -- Milliseconds since 1970.
    lease_until BIGINT NOT NULL,
    PRIMARY KEY (projection, number)
);
CREATE UNIQUE INDEX projection_live ON projection_generations (projection) WHERE status = 'live';

CREATE TABLE projection_dead_letters (
    projection TEXT COLLATE "C" NOT NULL,
    number INTEGER NOT NULL,
    position BIGINT NOT NULL,
    tenant TEXT COLLATE "C" NOT NULL,
    partition_key TEXT COLLATE "C" NOT NULL,
    event_type TEXT COLLATE "C" NOT NULL,
    -- NULL for an event that waits behind another.
    error TEXT,
    attempts INTEGER NOT NULL,
    retry_requested INTEGER NOT NULL,
    PRIMARY KEY (projection, number, position)
);
CREATE INDEX projection_dead_letters_by_partition
    ON projection_dead_letters (projection, number, partition_key, position);
CREATE INDEX projection_dead_letters_by_tenant
    ON projection_dead_letters (projection, number, tenant, position);
