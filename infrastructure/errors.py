"""What can go wrong with the world: stores, schemas, checkpoints, time. Refusals of the domain are in domain/errors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..domain.errors import TiuError

if TYPE_CHECKING:
    from .audit.chain import ChainReport
    from .rebuild import RebuildReport


class BadSettings(TiuError):
    """A URL or a setting that cannot be used."""

    code = "bad_settings"


class BadProjection(TiuError):
    """A projection of an embedding service's that cannot be kept as it is defined; every fault is named."""

    code = "bad_projection"


class StoreUnavailable(TiuError):
    """The database cannot be reached, or failed while it was used."""

    code = "store_unavailable"


class ConnectionClosed(TiuError):
    """A connection that was closed is used: not the database's fault, and no reason to try again."""

    code = "connection_closed"


class TransactionRefused(TiuError):
    """Commands cannot be executed in the transaction that a connection is in."""

    code = "transaction_refused"


class NotMigrated(TiuError):
    """The database lacks migrations that this code needs."""

    code = "not_migrated"


class SchemaTooNew(TiuError):
    """The database was migrated by newer code than this."""

    code = "schema_too_new"


class MigrationChanged(TiuError):
    """A migration that the database has recorded reads differently now."""

    code = "migration_changed"


class MigrationFailed(TiuError):
    """The database refused a migration or its rollback; nothing of it was done."""

    code = "migration_failed"


class NoWayBack(TiuError):
    """A migration that cannot be undone: it holds events or keys, and those are never dropped."""

    code = "no_way_back"


class RolesRefused(TiuError):
    """The roles cannot be made or taken back: on SQLite there are none, or the server refuses it to this role."""

    code = "roles_refused"


class UnknownMigration(TiuError):
    """A version that neither this code nor the database has."""

    code = "unknown_migration"


class Contended(TiuError):
    """Other writers moved what a command read, each time it was decided."""

    code = "contended"


class KeyMissing(TiuError):
    """A person's key is not in the database: events were restored without the keys that go with them."""

    code = "key_missing"


class CheckpointRefused(TiuError):
    """A checkpoint that does not fit the event store or the projection: of another store, version or history."""

    code = "checkpoint_refused"


class CheckpointMoved(TiuError):
    """Another projector has moved the checkpoint meanwhile: what was prepared is dropped, and done anew."""

    code = "checkpoint_moved"


class StoreReplaced(TiuError):
    """The database of an open connection is another one by now: what it remembers of it does not count any more."""

    code = "store_replaced"


class LeaseLost(TiuError):
    """Another has taken over from one that stood still for too long, or was cut off: what it was about to write is not
    written."""

    code = "lease_lost"


class ProjectionFailed(TiuError):
    """An event could not be projected, and is not parked; the read tables stand before it."""

    code = "projection_failed"


class InvalidSubscription(TiuError):
    """A name, topics or a beginning that no subscription can have, or the name of none that is there."""

    code = "invalid_subscription"


class SubscriptionFailed(TiuError):
    """A subscription stands before an event that cannot be read: it is mended, or passed over by who decides that."""

    code = "subscription_failed"


class EventParked(TiuError):
    """The event that is waited for is parked: the read tables have come past it, and do not have it."""

    code = "event_parked"


class NotParked(TiuError):
    """Nothing is parked under an id, or only a rebuild tries it again."""

    code = "not_parked"


class RebuildRefused(TiuError):
    """The tables cannot be rebuilt beside the live ones: another rebuild is at work, or what depends on the live tables
    would be lost with them."""

    code = "rebuild_refused"


class TablesDiffer(TiuError):
    """The rebuilt tables are not as the live ones, which stay as they are; `report` says what differs."""

    code = "tables_differ"

    def __init__(self, message: str, *, report: RebuildReport) -> None:
        super().__init__(message, tables={found.table: found.rows for found in report.differences})
        self.report = report


class TablesBusy(TiuError):
    """Others held on to the live tables for too long; the rebuilt ones stay beside them."""

    code = "tables_busy"


class BadSeal(TiuError):
    """A text that is no seal, or a seal that does not fit the log or what is asked of it."""

    code = "bad_seal"


class LogTampered(TiuError):
    """The log, or a seal of it, is not as it was: it is not sealed. `report` says what was found."""

    code = "log_tampered"

    def __init__(self, message: str, *, report: ChainReport) -> None:
        super().__init__(message, findings=[finding.said for finding in report.findings])
        self.report = report


class InvalidQuery(TiuError):
    """A question with a value that no database can look for."""

    code = "invalid_query"


class FileExists(TiuError):
    """A file that was to be made is there already: nothing is overwritten."""

    code = "file_exists"


class WaitTimeout(TiuError):
    """The read tables did not reach a position in time."""

    code = "wait_timeout"


class StatisticsUnavailable(TiuError):
    """The database does not keep, or does not show, the statistics that were asked for."""

    code = "statistics_unavailable"


class ExportRefused(TiuError):
    """No bundle is written: its file cannot be made, or it would hold more than one can."""

    code = "export_refused"


class BundleUnreadable(TiuError):
    """A file that is no audit bundle, or not bit for bit as it was written."""

    code = "bundle_unreadable"


class MissingExtra(TiuError):
    """An optional part of claude-tiu is used whose requirements are not installed."""

    code = "missing_extra"
