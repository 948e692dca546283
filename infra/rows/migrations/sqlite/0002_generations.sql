-- What outlives the generations of a projection.
CREATE TABLE projection_heads (
    projection TEXT PRIMARY KEY,
    -- The greatest number ever given.
    last_number INTEGER NOT NULL,
    -- The position in the log of the decision that made a generation live.
    decided_at INTEGER NOT NULL
);
INSERT INTO projection_heads
    SELECT projection, max(number), 0 FROM projection_generations GROUP BY projection;

-- Commits past the position are refused until then (milliseconds since 1970).
ALTER TABLE projection_generations ADD COLUMN hold_position INTEGER NOT NULL DEFAULT 0;
ALTER TABLE projection_generations ADD COLUMN hold_until INTEGER NOT NULL DEFAULT 0;
