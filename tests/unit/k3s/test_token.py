"""Tokens taken apart, and never shown."""

from __future__ import annotations

import pytest

from homelab.k3s import token
from homelab.k3s.token import Token

CA = "0123456789abcdef" * 4


def test_the_short_form_is_the_password_alone() -> None:
    assert token.parse("s3cret\n") == Token("s3cret")


@pytest.mark.parametrize("user", ["server", "node"])
def test_the_full_form_names_the_authority(user: str) -> None:
    assert token.parse(f"K10{CA}::{user}:s3cret\n") == Token("s3cret", CA)


@pytest.mark.parametrize("user", ["server", "node"])
def test_a_token_put_together_comes_apart_again(user: str) -> None:
    assert token.parse(Token("s3cret").full(user, CA)) == Token("s3cret", CA)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \n",
        "two words",
        "two\nlines",
        "K10",
        f"K10{CA}",
        f"K10{CA}::server:",
        f"K10{CA}::server:two words",
        f"K10{CA[:-1]}::server:s3cret",
        f"K10{CA.upper()}::server:s3cret",
        "K10short::server:s3cret",
        "abcdef.0123456789abcdef",
    ],
)
def test_a_malformed_token_is_refused_without_being_shown(text: str) -> None:
    with pytest.raises(ValueError, match=r"^is (empty or malformed|a bootstrap token, which expires)$"):
        token.parse(text)


def test_a_password_never_shows_in_a_representation() -> None:
    assert "s3cret" not in f"{Token('s3cret')!r} {Token('s3cret', CA)}"


def test_a_generated_token_is_new_each_time_and_one_that_k3s_takes() -> None:
    one, other = token.generate(), token.generate()
    assert one != other
    assert token.parse(one.password) == one
    assert one.password.isalnum() and len(one.password) == 64
