"""The stores on PostgreSQL: events and read tables in one database."""
