"""Audit bundles: what a log has of one project, with what proves it, in one file that is checked offline."""
