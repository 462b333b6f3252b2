-- name: all
SELECT name, topics, epoch, position, event_hash, fence, created_at, moved_at FROM subscriptions ORDER BY name

-- name: find
SELECT name, topics, epoch, position, event_hash, fence, created_at, moved_at FROM subscriptions WHERE name = :name

-- name: create
INSERT INTO subscriptions (name, topics, epoch, position, event_hash, fence, created_at, moved_at)
VALUES (
    :name, :topics, :epoch, :position, :event_hash,
    coalesce((SELECT fence FROM subscription_leases WHERE name = 'subscription.' || :name), 0), :now, :now)
ON CONFLICT (name) DO NOTHING

-- name: take_topics
UPDATE subscriptions SET topics = :topics WHERE name = :name AND fence = :fence

-- name: move
UPDATE subscriptions SET
    epoch = :epoch, position = :position, event_hash = :event_hash, fence = :fence, moved_at = :now
WHERE name = :name AND epoch = :epoch_before AND position = :position_before AND event_hash = :event_hash_before
  AND fence = :fence_before

-- name: remove
DELETE FROM subscriptions WHERE name = :name
