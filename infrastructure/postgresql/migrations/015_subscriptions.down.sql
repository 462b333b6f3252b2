-- How far subscriptions have come stays: without it, each would begin again.
DROP TABLE subscription_leases;
