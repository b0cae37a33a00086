"""The toolkit's environment and secrets."""

import os
import pwd
from pathlib import Path

import pytest

from homelab import settings
from homelab.model import Problem, SecretRef
from homelab.settings import SecretError, Settings, SettingsError, resolve_secret


def refused(**environ: str) -> list[str]:
    with pytest.raises(SettingsError) as refusal:
        Settings.read(environ)
    return str(refusal.value).splitlines()


def test_an_empty_environment_will_do() -> None:
    settings = Settings.read({"PATH": "/bin"})
    assert (settings.env, settings.k3s_version, settings.require) == (None, None, None)


def test_variables_arrive() -> None:
    settings = Settings.read(
        {"HOMELAB_ENV": "sandbox", "HOMELAB_K3S_VERSION": "v1.34.9+k3s1", "HOMELAB_REQUIRE": "base,nas"}
    )
    assert (settings.env, settings.k3s_version, settings.require) == ("sandbox", "v1.34.9+k3s1", "base,nas")


def test_the_environment_given_is_the_one_that_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOMELAB_ENV", "home")
    assert Settings.read({}).env is None
    assert Settings.read().env == "home"


def test_all_that_is_wrong_is_said_at_once() -> None:
    lines = refused(HOMELAB_EVN="home", HOMELAB_K3SVERSION="x", HOMELAB_ENV=" ", HOMELAB_K3S_VERSION="v1.33.4")
    assert lines == [
        "HOMELAB_EVN: unknown variable; did you mean HOMELAB_ENV?",
        "HOMELAB_K3SVERSION: unknown variable; did you mean HOMELAB_K3S_VERSION?",
        "HOMELAB_ENV: ' ' is not an inventory's name; write one, \"home\", or unset it",
        "HOMELAB_K3S_VERSION: 'v1.33.4' is not a K3s version; "
        'write the whole tag, "v1.33.4+k3s1" if that is the build',
    ]


def test_a_path_is_no_inventorys_name() -> None:
    assert refused(HOMELAB_ENV="inventory/home.py") == [
        "HOMELAB_ENV: 'inventory/home.py' is not an inventory's name; write one, \"home\", or unset it"
    ]


def test_the_artifact_cache_follows_xdg(tmp_path: Path) -> None:
    assert Settings.read({"XDG_CACHE_HOME": str(tmp_path)}).artifacts == tmp_path / "homelab" / "artifacts"
    default = Path("~/.cache/homelab/artifacts").expanduser()
    assert Settings.read({}).artifacts == default
    for elsewhere in ("relative", "~nobody-of-that-name/cache"):
        assert Settings.read({"XDG_CACHE_HOME": elsewhere}).artifacts == default


def test_a_user_without_a_home_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container that runs under a number nobody has."""

    def nobody(_: int) -> None:
        raise KeyError

    monkeypatch.delenv("HOME")
    monkeypatch.setattr(pwd, "getpwuid", nobody)
    with pytest.raises(SettingsError) as told:
        Settings.read({})
    assert str(told.value) == "HOME: is not set, and this user has no home folder; export HOME"


def secret(reference: str, base: Path) -> str:
    return resolve_secret(SecretRef.parse(reference), base=base).get_secret_value()


def unreadable(reference: str, base: Path) -> str:
    with pytest.raises(SecretError) as refusal:
        secret(reference, base)
    return str(refusal.value)


def private(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o600)
    return path


def test_secrets_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_TOKEN", "hunter2")
    path = private(tmp_path / "token", "hunter2\n")
    assert secret("env:SOME_TOKEN", tmp_path) == "hunter2"
    assert secret("file:token", tmp_path) == "hunter2"
    assert secret(f"file:{path}", Path("/")) == "hunter2"
    assert secret("command:cat token", tmp_path) == "hunter2"
    monkeypatch.setenv("HOME", str(tmp_path))
    assert secret("file:~/token", Path("/")) == "hunter2"


def test_what_is_wrong_is_told_apart_from_a_command_that_reads_alike(tmp_path: Path) -> None:
    reference = SecretRef.parse("command:sh -c 'echo a: b; exit 3'")
    with pytest.raises(SecretError) as refusal:
        resolve_secret(reference, base=tmp_path)
    assert settings.unreadable("nas: users.anna.password", reference, refusal.value) == Problem(
        "nas: users.anna.password: command:sh -c 'echo a: b; exit 3'",
        "exits with 3",
        "run it by hand and see why",
    )


def test_a_secret_does_not_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_TOKEN", "hunter2")
    assert "hunter2" not in repr(resolve_secret(SecretRef.parse("env:SOME_TOKEN"), base=tmp_path))


@pytest.mark.parametrize(
    ("reference", "line"),
    [
        ("env:UNSET", "env:UNSET: the variable is not set; export UNSET"),
        ("env:EMPTY", "env:EMPTY: is empty; write the secret there"),
        ("file:missing", "file:missing: No such file or directory; write the secret's file"),
        ("file:folder", "file:folder: is not a file; write the secret's file"),
        ("file:open", "file:open: others may read it (mode 0640); run chmod 600 on it"),
        ("file:lines", "file:lines: has several lines; keep the secret alone there"),
        ("file:binary", "file:binary: is not text; keep the secret alone there"),
        ("command:false", "command:false: exits with 1; run it by hand and see why"),
        ("command:true", "command:true: is empty; write the secret there"),
        (
            "command:no-such-command",
            "command:no-such-command: there is no program no-such-command here; install it, or write another",
        ),
        ("command:'", "command:': No closing quotation; write a command that prints the secret"),
        (
            r"command:printf '\377'",
            r"command:printf '\377': prints what is not text; write one that prints the secret alone",
        ),
        (
            "command:sh -c 'echo hunter2 >&2; exit 3'",
            "command:sh -c 'echo hunter2 >&2; exit 3': exits with 3; run it by hand and see why",
        ),
    ],
)
def test_an_unreadable_secret_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reference: str, line: str
) -> None:
    monkeypatch.setenv("EMPTY", "")
    monkeypatch.delenv("UNSET", raising=False)
    (tmp_path / "folder").mkdir()
    private(tmp_path / "open", "hunter2").chmod(0o640)
    private(tmp_path / "lines", "hunter2\nlogin: me\n")
    private(tmp_path / "binary", "").write_bytes(os.urandom(8) + b"\xff\xfe")
    assert unreadable(reference, tmp_path) == line


def test_a_secret_of_somebody_elses_is_told_as_that(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    private(tmp_path / "theirs", "hunter2")

    def read(path: Path, **_: object) -> str:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_text", read)
    assert unreadable("file:theirs", tmp_path) == "file:theirs: Permission denied; let this user read it"


def test_a_command_is_asked_no_question(tmp_path: Path) -> None:
    assert unreadable("command:cat", tmp_path) == "command:cat: is empty; write the secret there"
