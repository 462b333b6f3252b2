"""An orchestration service: agents work on the tasks of projects, validation finds out how much of it is real, and a
page shows both as they happen. It stands on the public names of `claude_tiu` alone."""
