"""Ids made of names: the same as the standard library's, only sooner."""

from __future__ import annotations

import uuid

from hypothesis import given
from hypothesis import strategies as st

from claude_tiu.domain.name_ids import text_of, uuid5


@given(st.uuids(), st.text(st.characters(codec="utf-8")))
def test_an_id_is_the_one_that_the_standard_library_makes(namespace: uuid.UUID, name: str) -> None:
    expected = uuid.uuid5(namespace, name)
    made = uuid5(namespace, name)
    assert (made, hash(made), str(made), made.version, made.variant) == (
        expected,
        hash(expected),
        str(expected),
        5,
        uuid.RFC_4122,
    )
    assert made.is_safe is expected.is_safe


@given(st.uuids())
def test_its_text_is_that_of_the_standard_library(id_: uuid.UUID) -> None:
    assert text_of(id_) == text_of(uuid.UUID(int=id_.int)) == str(id_)
