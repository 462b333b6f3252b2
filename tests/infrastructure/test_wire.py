"""Statements below psycopg's cursors: many in one round trip, and what becomes of them where one fails."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg.pq import TransactionStatus
from psycopg.types.json import Jsonb

from claude_tiu.infrastructure.postgresql.connections import Connection, connect
from claude_tiu.infrastructure.postgresql.wire import Pipeline, Statement, encoded
from claude_tiu.infrastructure.sql import numbered
from tests.support.candidates import until


@pytest.fixture
def connection(pg_url: str) -> Iterator[Connection]:
    with closing(connect(pg_url)) as made:
        made.execute("CREATE TEMPORARY TABLE numbers (number INTEGER PRIMARY KEY)")
        yield made


def statement(text: str, *values: Any) -> Statement:
    return Statement(text, *encoded(values))


BEGIN, COMMIT, ROLLBACK = map(statement, ("BEGIN", "COMMIT", "ROLLBACK"))
INSERT = "INSERT INTO numbers VALUES ($1)"


def inserts(*numbers: int) -> list[Statement]:
    return [statement(INSERT, number) for number in numbers]


def stored(connection: Connection) -> list[int]:
    return [number for (number,) in connection.execute("SELECT number FROM numbers ORDER BY number")]


class TestAPipeline:
    def test_executes_in_order_and_answers_each(self, connection: Connection) -> None:
        with Pipeline(connection) as pipeline:
            for first in (1, 4):  # prepared by the first, and there for the second
                answers = pipeline.execute(
                    [BEGIN, *inserts(first, first + 1), statement("DELETE FROM numbers"), COMMIT]
                )
                assert [answer.command_tuples for answer in answers] == [None, 1, 1, 2, None]
            assert pipeline.execute(inserts(7))[0].command_tuples == 1
        assert stored(connection) == [7]
        assert connection.info.transaction_status is TransactionStatus.IDLE

    def test_ends_at_the_first_that_fails(self, connection: Connection) -> None:
        with Pipeline(connection) as pipeline:
            with pytest.raises(psycopg.errors.UniqueViolation):
                pipeline.execute([BEGIN, *inserts(1, 1, 2), statement("SELECT 1"), COMMIT])
            pipeline.execute([ROLLBACK])
            pipeline.execute([BEGIN, *inserts(3), statement("SELECT 1"), COMMIT])
        assert stored(connection) == [3]

    def test_prepares_again_what_was_let_go(self, connection: Connection) -> None:
        with Pipeline(connection) as pipeline:
            pipeline.execute(inserts(1))
        connection.execute("DEALLOCATE ALL")
        with Pipeline(connection) as pipeline:
            with pytest.raises(psycopg.errors.InvalidSqlStatementName):
                pipeline.execute(inserts(2))
            pipeline.execute(inserts(3))
        assert stored(connection) == [1, 3]

    def test_prepares_nothing_that_says_so(self, connection: Connection) -> None:
        ends = [one._replace(prepared=False) for one in (BEGIN, COMMIT)]
        for number in (1, 2):
            with Pipeline(connection) as pipeline:
                begun, inserted, ended = pipeline.execute([ends[0], *inserts(number), ends[1]])
            assert [begun.command_tuples, inserted.command_tuples, ended.command_tuples] == [None, 1, None]
        assert stored(connection) == [1, 2]
        ((prepared,),) = connection.execute("SELECT count(*) FROM pg_prepared_statements WHERE NOT from_sql")
        assert prepared == 1

    def test_keeps_so_many_statements_prepared_at_most(
        self, connection: Connection, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(Pipeline, "MOST_PREPARED", 2)
        texts = [f"INSERT INTO numbers VALUES ($1 + {number})" for number in range(4)]
        with Pipeline(connection) as pipeline:
            pipeline.execute([statement(text, 10) for text in texts])
            pipeline.execute([statement(text, 20) for text in texts])
        assert stored(connection) == [*range(10, 14), *range(20, 24)]
        ((prepared,),) = connection.execute("SELECT count(*) FROM pg_prepared_statements WHERE NOT from_sql")
        assert prepared == 2

    def test_left_in_a_transaction_closes_its_connection(self, connection: Connection) -> None:
        with Pipeline(connection) as pipeline:
            pipeline.execute([BEGIN, *inserts(1)])
        assert connection.closed

    def test_interrupted_closes_its_connection(self, connection: Connection, pg_url: str) -> None:
        main = threading.main_thread()
        assert threading.current_thread() is main

        def interrupt() -> None:
            with closing(connect(pg_url)) as other:
                sleeps = "SELECT FROM pg_stat_activity WHERE pid = %s AND wait_event = 'PgSleep'"
                until(lambda: other.execute(sleeps, (connection.info.backend_pid,)).fetchall())
            signal.pthread_kill(main.ident or 0, signal.SIGINT)

        interrupting = threading.Thread(target=interrupt)
        interrupting.start()
        with pytest.raises(KeyboardInterrupt), Pipeline(connection) as pipeline:
            pipeline.execute([BEGIN, statement("SELECT pg_sleep(120)")])
        interrupting.join()
        assert connection.closed

    def test_of_a_lost_connection_tells_so(self, pg_url: str) -> None:
        with closing(connect(pg_url)) as lost, closing(connect(pg_url)) as other:
            with Pipeline(lost) as pipeline:
                other.execute("SELECT pg_terminate_backend(%s)", (lost.info.backend_pid,))
                with pytest.raises(psycopg.OperationalError):
                    pipeline.execute([BEGIN, statement("SELECT pg_sleep(1)"), COMMIT])
            assert lost.closed


class TestParameters:
    @pytest.mark.parametrize(
        ("type_", "value"),
        [
            ("uuid", UUID(int=2**128 - 1)),
            ("text", "Ünïcödé ☃ 𝄞 ' \" % $1 \\ \r\n\t"),
            ("varchar", ""),
            ("bytea", b"\x00\xff"),
            ("bigint", -(2**63)),
            ("numeric", Decimal(10**400)),
            ("float8", 1.7976931348623157e308),
            ("float8", 5e-324),
            ("float8", 2 / 3),
            ("boolean", True),
            ("boolean", False),
            ("jsonb", {"b": [1, 2.5, None, True, "☃"], "": "text"}),
            ("timestamptz", datetime(1900, 1, 1, 23, 59, 59, 999_999, tzinfo=UTC)),
            ("text", None),
        ],
    )
    def test_arrive_as_they_were(self, connection: Connection, type_: str, value: Any) -> None:
        given = Jsonb(value) if type_ == "jsonb" else int(value) if type_ == "numeric" else value
        connection.execute(f"CREATE TEMPORARY TABLE one (value {type_})")
        with Pipeline(connection) as pipeline:
            pipeline.execute([statement("INSERT INTO one VALUES ($1)", given)])
        assert connection.execute("SELECT value FROM one").fetchone() == (value,)

    def test_that_hold_a_nul_are_refused_and_not_cut_off(self, connection: Connection) -> None:
        connection.execute("CREATE TEMPORARY TABLE one (value TEXT)")
        with Pipeline(connection) as pipeline, pytest.raises(psycopg.DataError):
            pipeline.execute([statement("INSERT INTO one VALUES ($1)", "one\0two")])
        assert connection.execute("SELECT count(*) FROM one").fetchone() == (0,)

    def test_of_another_type_are_told(self) -> None:
        with pytest.raises(TypeError, match="Decimal"):
            encoded([Decimal(1)])


def test_named_parameters_are_numbered_in_order_each_once() -> None:
    text = "SELECT ':a', :b::text, x -- :c\nFROM t WHERE y % 2 = :a AND z = :b"
    assert numbered(text) == ("SELECT ':a', $1::text, x -- :c\nFROM t WHERE y % 2 = $2 AND z = $1", ("b", "a"))
