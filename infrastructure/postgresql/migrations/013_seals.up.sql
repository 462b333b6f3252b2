-- Seals: signed statements of what the log held (infrastructure/audit/seals.py), as the lines that are kept elsewhere.
-- The way down leaves them, so they may be there.
CREATE TABLE IF NOT EXISTS seals (
    number BIGINT PRIMARY KEY,
    seal TEXT NOT NULL
);

CREATE FUNCTION seals_are_immutable() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'seals are immutable';
END;
$$;

CREATE TRIGGER seals_are_immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON seals
    FOR EACH STATEMENT EXECUTE FUNCTION seals_are_immutable();
