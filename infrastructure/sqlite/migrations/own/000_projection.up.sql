-- The file of one projection of an embedding service's: how far it has come, and who keeps it.
CREATE TABLE checkpoints (
    projection TEXT PRIMARY KEY,
    version INTEGER NOT NULL,
    epoch TEXT NOT NULL,
    position INTEGER NOT NULL,
    event_hash BLOB NOT NULL,
    generation INTEGER NOT NULL DEFAULT 1,
    fence INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE leases (
    name TEXT PRIMARY KEY,
    fence INTEGER NOT NULL,
    host TEXT NOT NULL,
    pid INTEGER NOT NULL,
    since TEXT NOT NULL
) STRICT;
