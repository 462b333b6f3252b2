"""Values as SQLite holds them: made by short cuts, and the same as the plain way makes them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claude_tiu.infrastructure.sqlite import values
from claude_tiu.infrastructure.sqlite.values import json_text, stored_id, time_of, time_text

ZONES = st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
TIMES = st.datetimes(timezones=st.one_of(st.just(UTC), ZONES)).filter(lambda time: 1 < time.year < 9999)  # in any zone
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text()),
    lambda inner: st.one_of(st.lists(inner), st.dictionaries(st.text(), inner)),
    max_leaves=10,
)


@given(TIMES)
def test_a_time_is_its_utc_with_microseconds(time: datetime) -> None:
    utc = time.astimezone(UTC).replace(tzinfo=None)
    assert time_text(time) == utc.isoformat(timespec="microseconds") + "Z"
    assert time_of(time_text(time)) == time


@given(JSON)
@pytest.mark.parametrize("quick", [True, False])
def test_json_has_one_form(quick: bool, value: Any) -> None:
    with pytest.MonkeyPatch.context() as patch:
        if not quick:  # as without CPython's own encoder
            patch.setattr(values, "_parts", None)
        assert json_text(value) == json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


@given(st.uuids())
def test_an_id_is_that_of_its_text(id_: UUID) -> None:
    assert stored_id(str(id_)) == id_
