"""The stores on SQLite: the events in one file, the read tables in a sibling of it."""
