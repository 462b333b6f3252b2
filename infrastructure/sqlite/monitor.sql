-- name: has_dbstat
SELECT sqlite_compileoption_used('ENABLE_DBSTAT_VTAB')

-- name: sizes
SELECT m.tbl_name AS tablename, sum(s.pgsize) AS size_bytes,
       sum(CASE WHEN m.type = 'index' THEN s.pgsize ELSE 0 END) AS index_bytes
FROM dbstat s JOIN sqlite_master m ON m.name = s.name
WHERE s.aggregate = TRUE
GROUP BY m.tbl_name

-- name: index_sizes
SELECT m.name, s.pgsize FROM sqlite_master m JOIN dbstat s ON s.name = m.name
WHERE m.type = 'index' AND s.aggregate = TRUE

-- name: indexes
SELECT tbl_name, name FROM sqlite_master WHERE type = 'index'

-- name: version
SELECT sqlite_version()

-- name: journal_mode
PRAGMA journal_mode

-- name: encoding
PRAGMA encoding
