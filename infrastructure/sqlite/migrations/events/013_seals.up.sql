-- Seals: signed statements of what the log held (infrastructure/audit/seals.py), as the lines that are kept elsewhere.
-- The way down leaves them, so they may be there.
CREATE TABLE IF NOT EXISTS seals (
    number INTEGER PRIMARY KEY,
    seal TEXT NOT NULL
) STRICT;

CREATE TRIGGER seals_are_not_updated BEFORE UPDATE ON seals
BEGIN SELECT RAISE(ABORT, 'seals are immutable'); END;

CREATE TRIGGER seals_are_not_deleted BEFORE DELETE ON seals
BEGIN SELECT RAISE(ABORT, 'seals are immutable'); END;

CREATE TRIGGER seals_are_not_replaced BEFORE INSERT ON seals -- REPLACE deletes without firing the trigger above
WHEN EXISTS (SELECT 1 FROM seals WHERE number = NEW.number)
BEGIN SELECT RAISE(ABORT, 'seals are immutable'); END;
