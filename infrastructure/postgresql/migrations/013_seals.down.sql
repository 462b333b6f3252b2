-- Seals are never dropped, as events are not.
DROP TRIGGER seals_are_immutable ON seals;
DROP FUNCTION seals_are_immutable();
