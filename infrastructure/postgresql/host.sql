-- name: settings
SELECT name, current_setting(name) FROM unnest(:names::text[]) AS name

-- name: set
-- For the rest of the transaction, or until its savepoint is rolled back.
SELECT set_config(name, value, TRUE) FROM unnest(:names::text[], :values::text[]) AS setting (name, value)
