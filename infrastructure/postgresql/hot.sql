-- name: append
CALL append_events(
    $1::boolean, $2::boolean, $3::integer[], $4::uuid[], $5::integer[], $6::text[], $7::bytea[], $8::uuid[], $9::bytea[],
    $10::text[], $11::text[], $12::text[], $13::uuid[], $14::uuid[], $15::integer[], $16::uuid[], $17::integer[],
    $18::jsonb[], $19::jsonb[], NULL, NULL
)

-- name: append_one
SELECT append_event(
    FALSE, $1::uuid, $2::integer, $3::text, $4::bytea, $5::uuid, $6::bytea, $7::text, $8::text, $9::text, $10::uuid,
    $11::uuid, $12::integer, $13::uuid, $14::integer, $15::jsonb
)

-- name: append_one_crowded
CALL append_event_crowded(
    $1::uuid, $2::integer, $3::text, $4::bytea, $5::uuid, $6::bytea, $7::text, $8::text, $9::text, $10::uuid,
    $11::uuid, $12::integer, $13::uuid, $14::integer, $15::jsonb, NULL
)

-- name: load
SELECT version, topic, state FROM events WHERE stream_id = $1::uuid AND version >= $2::integer ORDER BY version
