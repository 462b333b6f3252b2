"""`tiu audit`: what auditors ask. Each verb has a module of its own."""

from __future__ import annotations

import typer

from . import audit_as_of, audit_chain, audit_check, audit_export, audit_history, audit_seal, audit_verify

audit = typer.Typer(help="Show what happened, and check that nothing else did.", no_args_is_help=True)
audit.command()(audit_chain.chain)
audit.command()(audit_check.check)
audit.command()(audit_export.export)
audit.command()(audit_history.history)
audit.command("as-of")(audit_as_of.as_of)
audit.command()(audit_seal.seal)
audit.command()(audit_verify.verify)
