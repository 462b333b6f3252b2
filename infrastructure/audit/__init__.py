"""What auditors ask: what happened, how it stood on a day, whether the tables are the events, and what proves it."""
