"""Secrets are recognized by the name or the form of their text, and removed from whatever is written."""

from __future__ import annotations

import html
import json
from base64 import b64encode
from urllib.parse import quote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokgate._secrets import (
    MASK,
    find_credentials,
    is_secret_name,
    redact,
    redact_bytes,
    redact_command,
    redact_data,
    redact_variables,
    remember,
    remember_command,
    remember_variables,
    take_credentials,
)

SECRET = 'top/"secret"&<42>é'
PASSWORDS = st.text(st.characters(min_codepoint=33, max_codepoint=0x2FF, categories=("L", "N", "P", "S")), min_size=8)


@pytest.mark.parametrize(
    "name",
    [
        *("HF_TOKEN", "OPENAI_API_KEY", "--api-key", "apiKey", "apikey", "password", "DB_PASSWORD_PROD", "PGPASSWORD"),
        *("AWS_SECRET_ACCESS_KEY", "--hf-token", "accessToken", "Authorization", "credentials", "token"),
    ],
)
def test_secret_names(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name",
    [
        *("--max-tokens", "max_num_batched_tokens", "--tokenizer", "TOKENIZERS_PARALLELISM", "eos_token", "PATH"),
        *("--stop-token-ids", "monkey", "--key", "KEYBOARD", "keyed", "", "kv_cache_tokens", "LD_LIBRARY_PATH"),
    ],
)
def test_other_names(name: str) -> None:
    assert not is_secret_name(name)


@pytest.mark.parametrize(
    "write",
    [
        str,
        json.dumps,
        lambda text: json.dumps(text, ensure_ascii=False),
        lambda text: json.dumps(text).replace("/", "\\/"),
        lambda text: quote(text, safe=""),
        html.escape,
        repr,
    ],
    ids=["text", "json", "json-unicode", "json-slashes", "url", "html", "repr"],
)
def test_remembered_secret(write: object) -> None:
    remember(SECRET)
    text = f"a {write(SECRET)} b"  # type: ignore[operator]
    assert "secret" not in redact(text)
    assert "42" not in redact(text)
    assert redact(text)[:2] == "a "
    assert MASK in redact(text)


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("GET http://user:password@host/x", "GET http://***@host/x"),
        ("ssh://me@box:22/x", "ssh://me@box:22/x"),
        ("Incorrect API key: sk-abcdefghijklmnop1234", "Incorrect API key: ***"),
        ("authorization: Bearer abc.def-123", "authorization: Bearer ***"),
        ('{"Authorization": "Basic dXNlcjpwYXNz"}', '{"Authorization": "Basic ***"}'),
        (
            "non-default args: {'api_key': ['hunter2222'], 'port': 8000}",
            "non-default args: {'api_key': ['***'], 'port': 8000}",
        ),
        ("http://h/?token=abcdefgh&x=1", "http://h/?token=***&x=1"),
        ("HF_TOKEN=abcdefgh", "HF_TOKEN=***"),
        ("max_tokens=100000000, eos_token='<|endoftext|>'", "max_tokens=100000000, eos_token='<|endoftext|>'"),
        ("401: the API key is missing; password required", "401: the API key is missing; password required"),
    ],
)
def test_secrets_of_others(text: str, redacted: str) -> None:
    """By their form, although this process does not know them."""
    assert redact(text) == redacted
    assert redact(redacted) == redacted
    assert redact_bytes(text.encode() + b" \xff") == redacted.encode() + b" \xff"


@pytest.mark.parametrize("piece", ["://", "://a:b", "api_key=", "authorization: bearer ", "sk-", ":", "['"])
def test_redaction_takes_linear_time(piece: str) -> None:
    text = piece * (1_000_000 // len(piece))
    assert len(redact(text)) <= len(text) + 10


@given(user=PASSWORDS, password=PASSWORDS)
def test_credentials_of_a_url(user: str, password: str) -> None:
    """They are found by their server, and nowhere in what is written."""
    url = f"http://{quote(user, safe='')}:{quote(password, safe='')}@host.test:8000/v1?x=1#y"
    bare = take_credentials(url)
    assert bare == "http://host.test:8000/v1?x=1#y"
    assert take_credentials(bare) == bare
    basic = b64encode(f"{user}:{password}".encode()).decode()
    assert find_credentials("http://HOST.test:8000/other") == f"Basic {basic}"
    assert find_credentials("http://host.test:9000/") is None
    assert basic not in redact(f"WWW-Authenticate: {basic}")
    assert password not in redact(f"wrong password {password}")


@pytest.mark.parametrize(
    "url", ["http://host", "http://host/a@b", "unix:///x", "ssh://me@box", "", "user:pw@host", "http://h?x=@"]
)
def test_urls_without_credentials(url: str) -> None:
    assert take_credentials(url) == url


@given(st.text())
def test_any_text_is_a_url(text: str) -> None:
    """Nothing fails, and no user remains."""
    bare = take_credentials("http://" + text)
    try:
        assert "@" not in urlsplit(bare).netloc
    except ValueError:
        pass


def test_command_lines() -> None:
    words = ("serve", "--api-key", "hunter-2222", "--port", "80", "--hf-token=abcdefgh", "HF_TOKEN=hunter-3333", "-v")
    assert redact_command(words) == (
        *("serve", "--api-key", MASK, "--port", "80", f"--hf-token={MASK}", f"HF_TOKEN={MASK}", "-v"),
    )
    assert redact_command(("pytest", "--tokgate-url", "http://u:p@h")) == ("pytest", "--tokgate-url", "http://***@h")
    assert redact_command(("--api-key", "--port", "1")) == ("--api-key", "--port", "1")
    remember_command(words)
    assert redact("hunter-2222 abcdefgh hunter-3333 80") == f"{MASK} {MASK} {MASK} 80"


def test_variables() -> None:
    variables = {"HF_TOKEN": "hunter-4444", "OMP_NUM_THREADS": "4", "EXTRA": "--password=hunter-5555"}
    assert redact_variables(variables) == {"HF_TOKEN": MASK, "OMP_NUM_THREADS": "4", "EXTRA": f"--password={MASK}"}
    remember_variables(variables)
    assert redact("hunter-4444 4") == f"{MASK} 4"


def test_data() -> None:
    data = {"launch": {"env": {"HF_TOKEN": "x"}, "args": ["--api-key", "y"], "port": 80}, "list": [{"token": 1}, None]}
    assert redact_data(data) == {
        "launch": {"env": {"HF_TOKEN": MASK}, "args": ["--api-key", MASK], "port": 80},
        "list": [{"token": MASK}, None],
    }


def test_short_values_are_not_searched_for() -> None:
    """They would mask words and numbers of every text."""
    remember_variables({"HF_TOKEN": "none", "API_KEY": "1"})
    take_credentials("http://a:b@host")
    assert redact("none of 1 is b") == "none of 1 is b"
