"""What a refusal at the door tells: nothing that is personal, nothing at length, all of it in one plain line."""

from __future__ import annotations

import json
from typing import Any

import pytest

from claude_tiu.domain.errors import Fault, InvalidCommand
from claude_tiu.domain.messages import Command
from claude_tiu.domain.session import EndSession
from claude_tiu.domain.task import AddTask, ClaimProgress
from claude_tiu.domain.user import CreateUser, ForgetUser
from tests.domain.door import HASH, faults, faulty_fields, made

SHA512 = "{}$GsWBVvcE.po8dsZ9xFfgAIL6WXDEL.EOu7Hr10fGAHXoT/pNwNDy6Mv44WulLE4ovbF/Re5bfDJJ/hJb1HR8j1"


class TestWhatIsPersonal:
    HASHES = (
        HASH,
        "$2b$12$abcdefghijklmnopqrstuvABCDEFGHIJKLMNOPQRSTUVWXYZ01234",
        "$2b$04$abcdefghijklmnopqrstuubWumTqR1wEHwN70MRDhapI8lu/eNSJC",
        "$2a$04$abcdefghijklmnopqrstuubWumTqR1wEHwN70MRDhapI8lu/eNSJC",
        "$2y$04$abcdefghijklmnopqrstuubWumTqR1wEHwN70MRDhapI8lu/eNSJC",
        "$1$abcdefgh$j2LMW.Yx1VnDReJKBPSyu/",
        "$5$usesomesilly$DnhETIODSEt52su2DFJl4uz4ttcOq1e7oxJnKHIiQm.",
        "$5$rounds=1400$anotherlongsalt$W/M02mZmb037Awrs8SLevPQm22qt8xu/L9H5taKzK5.",
        SHA512.format("$6$usesomesilly"),
        SHA512.format("$6$rounds=5000$usesomesilly"),
        "$7$CU..../....2Q9obwLhin8qvQl6sisAO/$jEMgdTGREPzWPOhsDkR1qXjgkiPHJAZPuvIUgxx5WF3",
        "$y$j9T$F5Jx5fExrKuPp53xLKQ..1$N6SAtE0FsG.zXrv8hxUunpU/BqWtJBrAkJyfSHYYcS6",
        "$gy$j9T$F5Jx5fExrKuPp53xLKQ..1$bqPPnQK67PYmkDynTUxwTZvfcvkrBWWfY5iEI3aAjK/",
        "$sha1$40000$jtNX3nZ2$tNErzxkFDnhj.pEMgPnc.MPnRv6P",
        "$P$B12345678abcdefghijklmnopqrstuv",
        "$argon2i$v=19$m=256,t=1,p=1$c29tZXNhbHQ$AJFIsNZTMKTAewB4+ETN1A",
        "$argon2id$v=19$m=65536,t=3,p=4,keyid=Hj5+dsK0$c29tZXNhbHQ$AJFIsNZTMKTAewB4+ETN1A",
        "$argon2d$m=256,t=1,p=1$c29tZXNhbHQ$AJFIsNZTMKTAewB4+ETN1A",
        "$bcrypt-sha256$v=2,t=2b,r=12$n79VH.0Q2TMWmt3Oqt9uku$Kq4Noyk3094Y2QlB8NdRT8SvGiI4ft2",
        "$scrypt$ln=16,r=8,p=1$aM15713r3Xsvxbi31lqr1Q$nFNh2CVHVjNldFVKDHDlm4CbdRSCdEBsjjJxD+iCs5E",
        "$pbkdf2$1212$OB8W18fMkGKkbg8EGEoCKg$Ac9SUvpvAH6UjNA4e1vpBaNXWSo",
        "$pbkdf2-sha256$29000$N2YMIWQsBWBMae09x1jrPQ$1t8iyB2A.WF/Z5JZv.lfCIhXXN33N23OSgQYThBYRfk",
        "$pbkdf2-sha256$i=600000,l=32$c29tZXNhbHRzb21lc2FsdA$1t8iyB2AWFZ5JZvlfCIhXXN33N23OSgQYThBYRfk00",
        "$balloon$v=1$s=1024,t=3,p=1$c29tZXNhbHRzb21lc2FsdA$1t8iyB2AWFZ5JZvlfCIhXXN33N23OSgQYThBYRfk00",
    )

    @pytest.mark.parametrize("value", HASHES)
    def test_a_password_hash_is_a_phc_or_modular_crypt_string(self, value: str) -> None:
        assert made(CreateUser, password_hash=value).password_hash == value

    @pytest.mark.parametrize(
        "value",
        [
            "",
            "hunter2",
            "correct horse battery staple",
            "5f4dcc3b5aa765d61d8327deb882cf99",
            "$",
            "$$",
            "$2b$",
            "$2b$short",
            HASH + "\n",
            " " + HASH,
            "$2b$12$" + "a" * 250,
            "$2b$12$with spaces in it, and more",
            "!",
            "$ecret-and-quite-long-enough-for-a-hash",
            "$ecret$and$quite$long$enough$for$a$hash",
            "$5$ecret$and$quite-long-enough-for-a-hash",
            "$1$aPasswordOfManyLettersAndDigits0123456789",
            "$2b$12$aPasswordOfManyLettersAndDigits0123456789",
            "$6$salt$aPasswordOfManyLettersAndDigits0123456789aPasswordOfManyLettersAndDigits0123456789",
            "$y$aPasswordOfManyLettersAndDigits0123456789",
            "$Money$aPasswordOfManyLettersAndDigits0123456789",
            "$money$aPasswordOfManyLettersAndDigits0123456789",
            "$argon2id$short",
            "pbkdf2_sha256$600000$abcdefghijkl$1t8iyB2A5WFZ5JZvlfCIhXXN33N23OSgQYThBYRfk0=",
            "scrypt:32768:8:1$abcdefgh$0123456789abcdef0123456789abcdef0123456789abcdef",
            "{SSHA}MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkw",
        ],
    )
    def test_a_plain_password_does_not_get_in_and_is_not_repeated(self, value: str) -> None:
        (fault,) = faults(CreateUser, password_hash=value)
        assert (fault.field, fault.value) == ("password_hash", None)
        assert len(value) < 3 or value not in str(fault)

    @pytest.mark.parametrize(
        "value", ["", "ada", "@", "ada@", "@example.org", "a@b@c", "a b@c", "a@b\n", "a" * 254 + "@b"]
    )
    def test_an_email_has_one_at_sign_and_no_space(self, value: str) -> None:
        assert faulty_fields(CreateUser, email=value) == ["email"]

    @pytest.mark.parametrize("field", ["username", "email", "password_hash"])
    @pytest.mark.parametrize(
        "value",
        ["s3cr3t\0s3cr3t@x", "s3cr3t\ud800", ["s3cr3t"], {"s3cr3t": "s3cr3t"}, b"s3cr3t", "s3cr3t" * 100],
        ids=lambda value: ascii(value)[:30],
    )
    def test_no_error_repeats_a_personal_value(self, field: str, value: Any) -> None:
        self.assert_told_without_the_secret([field], **{field: value})

    @pytest.mark.parametrize("field", ["password", "Username", "e_mail", "password_hash "])
    def test_nor_one_under_a_misspelt_name(self, field: str) -> None:
        self.assert_told_without_the_secret([field], **{field: "s3cr3t"})

    @pytest.mark.parametrize("command", [ForgetUser, EndSession, ClaimProgress])
    def test_nor_one_that_a_command_does_not_take(self, command: type[Command]) -> None:
        with pytest.raises(InvalidCommand) as caught:
            command(username="s3cr3t")
        assert "username: Extra inputs are not permitted" in caught.value.message
        assert "s3cr3t" not in json.dumps(caught.value.as_json())

    def test_nor_the_personal_values_beside_a_fault_elsewhere(self) -> None:
        self.assert_told_without_the_secret(["role"], username="s3cr3t", role="king")

    @staticmethod
    def assert_told_without_the_secret(fields: list[str], **changes: Any) -> None:
        with pytest.raises(InvalidCommand) as caught:
            made(CreateUser, **changes)
        error = caught.value
        assert [fault.field for fault in error.faults] == fields
        assert "s3cr3t" not in error.message + repr(error) + json.dumps(error.as_json())


class TestAFaultIsToldShort:
    @pytest.mark.parametrize(
        "value",
        [
            "x" * 10**6,
            "\n" * 10**6,
            10**5000,
            -(10**5000),
            ["x" * 1000] * 1000,
            {"x": "y" * 10**6},
            {10**5000},
            b"x" * 10**6,
            (10**5000,),
            {"x": {10**5000}},
            "🙂" * 10**6,
        ],
        ids=lambda value: type(value).__name__,
    )
    def test_a_huge_value_is_shown_short(self, value: Any) -> None:
        (fault,) = faults(ClaimProgress, claimed=value)
        assert fault.value is not None
        assert len(fault.value) < 700  # 60 characters, each as an escape of at most 10

    def test_a_long_text_is_shown_by_its_beginning_and_its_length(self) -> None:
        (fault,) = faults(ClaimProgress, claimed="abc" * 100)
        assert fault.value == f"'{'abc' * 20}…' (300 characters)"

    def test_a_short_value_is_shown_as_it_was_given(self) -> None:
        (fault,) = faults(ClaimProgress, claimed=100.0001)
        assert fault == Fault("claimed", "Input should be less than or equal to 100", "100.0001")
        assert str(fault) == "claimed: Input should be less than or equal to 100 (given 100.0001)"

    def test_a_long_field_name_is_shown_short(self) -> None:
        faults(ClaimProgress, **{"x" * 10**6: 1})

    def test_a_field_name_with_line_breaks_is_shown_in_one_line(self) -> None:
        faults(ClaimProgress, **{"x\n\x1b[31m": 1})


class TestVeryManyFaults:
    def test_the_first_hundred_are_told_and_how_many_more_there_are(self) -> None:
        unknown = {f"field_{number}": number for number in range(250)}
        with pytest.raises(InvalidCommand) as caught:
            made(AddTask, **unknown)
        *told, last = caught.value.faults
        assert [fault.field for fault in told] == [f"field_{number}" for number in range(100)]
        assert str(last) == "and 150 more faults"

    def test_of_more_than_a_line_could_hold_on_purpose_none_is_looked_at(self) -> None:
        with pytest.raises(InvalidCommand) as caught:
            made(AddTask, **{f"field_{number}": number for number in range(10_001)})
        assert [str(fault) for fault in caught.value.faults] == ["10,001 faults are too many to tell"]

    def test_a_list_that_is_too_long_is_one_fault_however_many_its_items_have(self) -> None:
        with pytest.raises(InvalidCommand) as caught:
            made(AddTask, capabilities=[0] * 100_000)
        assert len(caught.value.faults) <= 101
        assert len(caught.value.message) < 20_000
        assert faulty_fields(AddTask, capabilities=["same"] * 1_001) == ["capabilities"]
