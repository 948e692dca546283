-- Facts up to here may be gone from the log; the archive has them.
CREATE TABLE log_trim (upto BIGINT NOT NULL);
INSERT INTO log_trim VALUES (0);

CREATE OR REPLACE FUNCTION events_never_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND OLD.position <= (SELECT upto FROM log_trim) THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'recorded events never change';
END $$;
