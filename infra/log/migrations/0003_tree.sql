-- The Merkle tree over the events' leaves, moved by the statement that writes
-- them: its size is the newest position, always.
DO $$ BEGIN
    IF EXISTS (SELECT FROM events) THEN
        RAISE EXCEPTION 'the log was written by a Daybook before its first release, without a tree';
    END IF;
END $$;

-- Replaced by every append, in place: a page with room for it is cleaned by
-- the next one.
CREATE TABLE log_tree (
    one      BOOLEAN NOT NULL PRIMARY KEY DEFAULT true CHECK (one),
    size     BIGINT  NOT NULL,
    -- Roots of the complete subtrees, the largest first.
    frontier BYTEA   NOT NULL
) WITH (fillfactor = 10);
ALTER TABLE log_tree ALTER frontier SET STORAGE PLAIN;
INSERT INTO log_tree (size, frontier) VALUES (0, '');

-- The root of full tile `number` of the level below.
CREATE TABLE log_tree_nodes (
    level  SMALLINT NOT NULL,
    number BIGINT   NOT NULL,
    hash   BYTEA    NOT NULL,
    PRIMARY KEY (level, number)
);

-- Leaves of the positions from `first` on, kept where facts were trimmed, so
-- that the tree is whole.
CREATE TABLE log_tree_trimmed (
    first  BIGINT NOT NULL PRIMARY KEY,
    leaves BYTEA  NOT NULL
);

CREATE TABLE log_checkpoints (
    origin    TEXT   NOT NULL,
    size      BIGINT NOT NULL,
    root      BYTEA  NOT NULL,
    note      TEXT   NOT NULL,
    -- Microseconds since 1970.
    signed_at BIGINT NOT NULL,
    PRIMARY KEY (origin, size)
);
