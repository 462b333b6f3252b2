"""What touches the world: command handling, stores, the projector, migrations, queries, settings, the command line."""
