"""A file: its statuses × its commands, its content, and how the events hold it."""

from __future__ import annotations

import json
import random
import zlib
from base64 import b64encode
from hashlib import sha256
from itertools import product
from typing import Any
from uuid import uuid5

import pytest
from hypothesis import given as drawn

from claude_tiu.domain.dependency_graph import graph_id
from claude_tiu.domain.errors import AlreadyExists, InvalidCommand, NotFound, WrongStatus
from claude_tiu.domain.messages import Command, Event
from claude_tiu.domain.project_file import (
    PROJECT_FILE,
    CreateFile,
    DeleteFile,
    FailFileValidation,
    FileCommand,
    FileCreated,
    FileDeleted,
    FileModified,
    FileRevived,
    FileValidated,
    FileValidationFailed,
    ModifyFile,
    ProjectFile,
    ValidateFile,
    compressed,
    decompressed,
    file_id,
    measured,
)
from claude_tiu.domain.project_metrics import metrics_id
from claude_tiu.domain.registry import encode_event
from claude_tiu.testing.strategies import texts
from tests.domain.given import AT, EARLIER, OTHER_PROJECT_ID, PROJECT_ID, given, world

PATH = "src/parser.py"
FILE: dict[str, Any] = {"project_id": PROJECT_ID, "file_path": PATH}
FILE_ID = file_id(PROJECT_ID, PATH)
TEXT, OTHER_TEXT = "def parse(): ...\n", "def parse(): return 7\n"
MIB = 1 << 20


def held(text: str) -> dict[str, Any]:
    """A text, as events hold it."""
    return {"content_zlib": compressed(text), **measured(text)._asdict()}


CREATED = FileCreated(occurred_at=EARLIER, **FILE, metadata={}, **held(TEXT))
HISTORY: dict[str, list[Event]] = {
    "absent": [],
    "created": [CREATED],
    "modified": [CREATED, FileModified(occurred_at=EARLIER, metadata=None, **held(OTHER_TEXT))],
    "validated": [CREATED, FileValidated(occurred_at=EARLIER, validation_score=90.0)],
    "failed_validation": [CREATED, FileValidationFailed(occurred_at=EARLIER, validation_score=0.0)],
    "deleted": [CREATED, FileDeleted(occurred_at=EARLIER)],
}
PRESENT = ("created", "modified", "validated", "failed_validation")

CREATE = CreateFile(**FILE, content=TEXT, metadata={"lang": "py"})
MODIFY = ModifyFile(**FILE, content=OTHER_TEXT)
VALIDATE = ValidateFile(**FILE, validation_score=87.5)
FAIL = FailFileValidation(**FILE)
DELETE = DeleteFile(**FILE)
COMMANDS: tuple[FileCommand, ...] = (CREATE, MODIFY, VALIDATE, FAIL, DELETE)

FAILED = FileValidationFailed(occurred_at=AT, validation_score=0.0)
ALLOWED: dict[tuple[str, type[Command]], tuple[Event, str]] = {
    ("absent", CreateFile): (
        FileCreated(occurred_at=AT, **FILE, metadata={"lang": "py"}, **held(TEXT)),
        "created",
    ),
    ("deleted", CreateFile): (FileRevived(occurred_at=AT, metadata={"lang": "py"}, **held(TEXT)), "created"),
}
"""The domain rules' table; all else is refused."""
for _status in PRESENT:
    ALLOWED[_status, ModifyFile] = FileModified(occurred_at=AT, metadata=None, **held(OTHER_TEXT)), "modified"
    ALLOWED[_status, ValidateFile] = FileValidated(occurred_at=AT, validation_score=87.5), "validated"
    ALLOWED[_status, FailFileValidation] = FAILED, "failed_validation"
    ALLOWED[_status, DeleteFile] = FileDeleted(occurred_at=AT), "deleted"


def named(value: Any) -> str:
    return value if isinstance(value, str) else type(value).__name__


class TestStatuses:
    def test_the_table_knows_every_command_of_a_file(self) -> None:
        assert {type(command) for command in COMMANDS} == set(PROJECT_FILE.commands)

    @pytest.mark.parametrize(("status", "command"), list(product(HISTORY, COMMANDS)), ids=named)
    def test_statuses_and_commands(self, status: str, command: FileCommand) -> None:
        when = given(PROJECT_FILE, HISTORY[status]).when(command)
        if allowed := ALLOWED.get((status, type(command))):
            event, after = allowed
            assert when.then([event]) == ProjectFile(PROJECT_ID, PATH, after)
        elif status == "absent":
            when.then_refused(NotFound, project_id=PROJECT_ID, file_path=PATH).message.index(repr(PATH))
        elif command is CREATE:
            when.then_refused(AlreadyExists, project_id=PROJECT_ID, file_path=PATH).message.index(repr(PATH))
        else:
            refusal = when.then_refused(WrongStatus, id=FILE_ID, status="deleted", command=type(command).__name__)
            assert refusal.details["allowed"] == list(PRESENT)
            assert repr(PATH) in refusal.message

    @pytest.mark.parametrize("command", COMMANDS, ids=named)
    @pytest.mark.parametrize("status", ["active", "completed", "failed", "archived"])
    def test_only_an_active_project_gets_files_and_an_archived_one_takes_no_work(
        self, status: str, command: FileCommand
    ) -> None:
        history = "deleted" if command is CREATE else "created"
        when = given(PROJECT_FILE, HISTORY[history], reads=world(status)).when(command)
        if status == "active" or (command is not CREATE and status != "archived"):
            when.then([ALLOWED[history, type(command)][0]])
        else:
            when.then_refused(WrongStatus, id=PROJECT_ID, status=status)

    def test_there_is_no_file_without_a_project(self) -> None:
        command = CreateFile(project_id=OTHER_PROJECT_ID, file_path=PATH, content="")
        given(PROJECT_FILE).when(command).then_refused(NotFound, id=OTHER_PROJECT_ID)

    def test_a_refusal_shows_any_path_in_a_plain_line(self) -> None:
        command = DeleteFile(project_id=PROJECT_ID, file_path="🙂\n" * 400)
        message = given(PROJECT_FILE).when(command).then_refused(NotFound).message
        assert message.isprintable()
        assert len(message) < 400


class TestTheStream:
    def test_is_found_from_project_and_path(self) -> None:
        assert PROJECT_FILE.stream_of
        assert {PROJECT_FILE.stream_of(command, world()) for command in COMMANDS} == {uuid5(PROJECT_ID, PATH)}
        assert file_id(OTHER_PROJECT_ID, PATH) != FILE_ID != file_id(PROJECT_ID, f"./{PATH}")

    def test_is_never_that_of_the_dependency_graph(self) -> None:
        """Which is uuid5 of the project and a word that may also be a path."""
        assert file_id(PROJECT_ID, "dependency_graph") != graph_id(PROJECT_ID)
        assert file_id(PROJECT_ID, "metrics") != metrics_id(PROJECT_ID)

    def test_belongs_to_its_project(self) -> None:
        assert PROJECT_FILE.project_of(FILE_ID, ProjectFile(PROJECT_ID, PATH, "created")) == PROJECT_ID


def faults(**fields: Any) -> dict[str, str]:
    """What is wrong with creating a file so, and with modifying it so: the same."""
    found = []
    for command in (CreateFile, ModifyFile):
        with pytest.raises(InvalidCommand) as caught:
            command(**FILE, **fields)
        assert len(caught.value.message) < 1_000
        found.append({fault.field: fault.message for fault in caught.value.faults})
    assert found[0] == found[1]
    return found[0]


class TestContent:
    def test_hash_and_size_are_computed_in_bytes_of_utf_8(self) -> None:
        text = "é🙂\r\n"
        (event,) = PROJECT_FILE.decide(None, CreateFile(**FILE, content=text, occurred_at=AT), world())
        assert isinstance(event, FileCreated)
        assert (event.content_hash, event.size_bytes) == (sha256(text.encode()).hexdigest(), 8)
        assert event.content() == text

    def test_they_may_be_given_where_they_are_the_contents(self) -> None:
        hash_, size = measured(TEXT)
        command = CreateFile(**FILE, content=TEXT, content_hash=hash_.upper(), size_bytes=size)
        given(PROJECT_FILE).when(command).then([CREATED.model_copy(update={"occurred_at": AT})])

    def test_they_are_refused_where_they_are_not(self) -> None:
        assert faults(content=TEXT, content_hash="0" * 64).keys() == {"content_hash"}
        assert faults(content=TEXT, size_bytes=len(TEXT) + 1).keys() == {"size_bytes"}
        assert faults(content="é", content_hash="0" * 64, size_bytes=1).keys() == {"content_hash", "size_bytes"}

    def test_alone_they_stand_for_what_is_large_or_binary(self) -> None:
        command = ModifyFile(**FILE, content_hash="Ab" * 32, size_bytes=2**31 - 1)
        modified = FileModified(
            occurred_at=AT, content_zlib=None, content_hash="ab" * 32, size_bytes=2**31 - 1, metadata=None
        )
        given(PROJECT_FILE, [CREATED]).when(command).then([modified])
        assert modified.content() is None

    def test_one_of_them_alone_is_not_enough(self) -> None:
        assert faults().keys() == {"content_hash", "size_bytes"}
        assert faults(size_bytes=1).keys() == {"content_hash"}
        assert faults(content_hash="0" * 64).keys() == {"size_bytes"}
        assert faults(content=None, content_hash=None, size_bytes=0).keys() == {"content_hash"}

    @pytest.mark.parametrize("value", ["", "0" * 63, "0" * 65, "g" * 64, "0" * 64 + "\n", "\u0660" * 64, 7, b"0" * 64])
    def test_a_hash_is_64_hex_digits(self, value: Any) -> None:
        assert faults(content_hash=value, size_bytes=1).keys() == {"content_hash"}

    @pytest.mark.parametrize("value", [-1, 2**31, 1.0, "1", True])
    def test_a_size_fits_an_integer(self, value: Any) -> None:
        assert faults(content_hash="0" * 64, size_bytes=value).keys() == {"size_bytes"}

    @pytest.mark.parametrize("value", ["a\0b", "\ud800", 7, b"bytes", ["a"]], ids=ascii)
    def test_content_is_text_that_every_database_holds(self, value: Any) -> None:
        assert faults(content=value).keys() == {"content"}

    @pytest.mark.parametrize("character", ["a", "é", "🙂"])
    def test_a_mebibyte_is_taken_and_a_byte_more_is_one_fault_that_says_what_to_do(self, character: str) -> None:
        text = character * (MIB // len(character.encode()))
        (event,) = PROJECT_FILE.decide(None, CreateFile(**FILE, content=text, occurred_at=AT), world())
        assert isinstance(event, FileCreated)
        assert event.content() == text
        assert event.size_bytes == MIB
        assert len(encode_event(event)) < MIB // 100
        ((field, message),) = faults(content=text + "a").items()
        assert field == "content"
        assert "content_hash and size_bytes" in message
        assert "1048576" in message

    def test_an_empty_file_has_content(self) -> None:
        (event,) = PROJECT_FILE.decide(None, CreateFile(**FILE, content="", occurred_at=AT), world())
        assert isinstance(event, FileCreated)
        assert (event.content(), event.size_bytes) == ("", 0)

    def test_metadata_left_out_stays_and_given_is_replaced(self) -> None:
        for metadata in (None, {}, {"a": 1}):
            command = ModifyFile(**FILE, content=OTHER_TEXT, metadata=metadata)
            modified = FileModified(occurred_at=AT, metadata=metadata, **held(OTHER_TEXT))
            given(PROJECT_FILE, [CREATED]).when(command).then([modified])

    @pytest.mark.parametrize("value", [-0.1, 100.1, float("nan"), "50", True])
    def test_a_score_is_a_percentage(self, value: Any) -> None:
        for command in (ValidateFile, FailFileValidation):
            with pytest.raises(InvalidCommand):
                command(**FILE, validation_score=value)
        assert ValidateFile(**FILE, validation_score=0.0000005).validation_score == 0.0


class TestInTheEvent:
    @drawn(texts)
    def test_a_text_comes_back(self, text: str) -> None:
        assert decompressed(compressed(text)) == text
        assert compressed(text) == compressed(text)

    def test_it_is_json_and_a_fraction_of_source_code(self) -> None:
        words = random.Random(1)
        text = "".join(f"def f{n}(x):\n    return x + {words.randrange(100)}\n" for n in range(20_000))
        body = encode_event(CREATED.model_copy(update=held(text)))
        assert json.loads(body)["size_bytes"] == len(text)
        assert len(body) < len(text) / 4

    def test_a_bomb_is_not_unpacked(self) -> None:
        bomb = b64encode(zlib.compress(b"\0" * (200 << 20), 9)).decode()
        with pytest.raises(ValueError, match="longer than 1048576"):
            decompressed(bomb)

    @pytest.mark.parametrize(
        "stored",
        [
            "",
            "text",
            "ünsinn",
            compressed("text")[:-8],
            b64encode(zlib.compress(b"text") + b"more").decode(),
            b64encode(zlib.compress(b"\xff\xfe")).decode(),
            "\n" + compressed("text"),
        ],
        ids=ascii,
    )
    def test_what_is_damaged_says_so_when_it_is_asked_for(self, stored: str) -> None:
        event = CREATED.model_copy(update={"content_zlib": stored})
        with pytest.raises(ValueError, match=r"a file's content|base64|ASCII|decode|padding"):
            event.content()
        assert PROJECT_FILE.fold([event]) == ProjectFile(PROJECT_ID, PATH, "created")
