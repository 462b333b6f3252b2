-- Seals are never dropped, as events are not.
DROP TRIGGER seals_are_not_updated;
DROP TRIGGER seals_are_not_deleted;
DROP TRIGGER seals_are_not_replaced;
