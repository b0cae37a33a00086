"""The toolkit's own environment: variables, folders and secrets, for the CLI and the deploys."""

import os
import shlex
import stat
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Self

from pydantic import BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from homelab.model.problems import Problem, did_you_mean
from homelab.model.secret import SecretRef
from homelab.model.strict import refusals, refuse, shown
from homelab.model.version import K3sVersion

PREFIX = "HOMELAB_"


class SettingsError(Exception):
    """The environment holds something the toolkit would not heed, or not as meant: one line each."""


class SecretError(Exception):
    """A secret cannot be read: one line, never the secret."""


def _word(value: object) -> object:
    # An empty variable is more often a slip in a script than a wish.
    if isinstance(value, str) and (not value.strip() or "/" in value):
        raise refuse(f"{shown(value)} is not an inventory's name", 'write one, "home", or unset it')
    return value


class Settings(BaseSettings):
    """What the environment says. Read with ``Settings.read``, which says all that is wrong at once."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, frozen=True, extra="forbid", hide_input_in_errors=True, env_ignore_empty=False
    )

    env: Annotated[str | None, BeforeValidator(_word)] = Field(
        None, description="the inventory to use: inventory/<name>.py"
    )
    k3s_version: K3sVersion | None = Field(None, description="the sandbox's K3s version, over group_data's")
    require: str | None = Field(None, description="parts that `make test` must not skip: base,nas")
    tcp_nodelay: str | None = Field(None, description="0 leaves pyinfra's SSH socket as it is; for `make bench`")

    # Where the artifact cache is; not one of ours, so without the prefix.
    cache_home: Path = Field(Path("~/.cache"), validation_alias="XDG_CACHE_HOME")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what ``read`` hands over: an environment given is the one that counts, and no file is looked for."""
        return (init_settings,)

    @classmethod
    def read(cls, environ: Mapping[str, str] | None = None) -> Self:
        """The settings in an environment. Raise SettingsError, one line for each thing that is wrong."""
        environ = os.environ if environ is None else environ
        known = tuple(f"{PREFIX}{name.upper()}" for name in cls.model_fields if name != "cache_home")
        wrong = []
        values: dict[str, str] = {}
        for name, value in environ.items():
            if name in known:
                values[name.removeprefix(PREFIX).lower()] = value
            elif name.startswith(PREFIX):
                remedy = _meant(name, known)
                wrong.append(f"{name}: unknown variable; {remedy}")
        if environ.get("XDG_CACHE_HOME"):
            values["XDG_CACHE_HOME"] = environ["XDG_CACHE_HOME"]
        try:
            settings = cls(**values)  # type: ignore[arg-type]
        except ValidationError as error:
            for where, found, remedy in refusals(error):
                wrong.append(f"{PREFIX}{str(where[0]).upper()}: {found}; {remedy}")
        try:
            Path.home()
        except RuntimeError:
            wrong.append("HOME: is not set, and this user has no home folder; export HOME")
        if wrong:
            raise SettingsError("\n".join(wrong))
        return settings

    @property
    def artifacts(self) -> Path:
        """The artifact cache: ``<version>/<file>`` under it, files named as upstream names its assets."""
        cache = Path(os.path.expanduser(self.cache_home))  # noqa: PTH111 - one of nobody's home is left as it is
        # The XDG specification: a path that is not absolute is to be ignored.
        return (cache if cache.is_absolute() else Path("~/.cache").expanduser()) / "homelab" / "artifacts"


def _meant(name: str, known: tuple[str, ...]) -> str:
    # Compared without the prefix: else any two names would be close.
    words = {one.removeprefix(PREFIX).lower(): one for one in known}
    remedy = did_you_mean(name.removeprefix(PREFIX), words, "")
    word = remedy.removeprefix("did you mean ").removesuffix("?")
    return f"did you mean {words[word]}?" if remedy else f"unset it, or write one of {', '.join(known)}"


def resolve_secret(reference: SecretRef, *, base: Path) -> SecretStr:
    """The secret a reference points at. A relative file is looked for in ``base``.

    Raise SecretError with one line that never holds the secret.
    """
    read = {"env": _from_env, "file": _from_file, "command": _from_command}[reference.kind]
    text = read(reference, base)
    if not text:
        raise SecretError(f"{reference}: is empty; write the secret there")
    if "\n" in text or "\r" in text:
        raise SecretError(f"{reference}: has several lines; keep the secret alone there")
    return SecretStr(text)


def unreadable(place: str, reference: SecretRef, error: SecretError) -> Problem:
    """What is wrong with the secret of a place. Of the line, a command's own colons and semicolons part nothing."""
    found, _, remedy = str(error).removeprefix(f"{reference}: ").partition("; ")
    return Problem(f"{place}: {reference}", found, remedy)


def _from_env(reference: SecretRef, base: Path) -> str:
    text = os.environ.get(reference.where)
    if text is None:
        raise SecretError(f"{reference}: the variable is not set; export {reference.where}")
    return text.strip()


def _from_file(reference: SecretRef, base: Path) -> str:
    path = base / Path(reference.where).expanduser()
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            raise SecretError(f"{reference}: is not a file; write the secret's file")
        if mode & 0o077:
            raise SecretError(f"{reference}: others may read it (mode {mode & 0o777:04o}); run chmod 600 on it")
        return path.read_text(encoding="utf-8").strip()
    except PermissionError as error:
        raise SecretError(f"{reference}: {error.strerror}; let this user read it") from None
    except OSError as error:
        raise SecretError(f"{reference}: {error.strerror}; write the secret's file") from None
    except UnicodeDecodeError:
        raise SecretError(f"{reference}: is not text; keep the secret alone there") from None


def _from_command(reference: SecretRef, base: Path) -> str:
    try:
        argv = shlex.split(reference.where)
        # What the command says on stderr is not repeated: it could be the secret.
        done = subprocess.run(
            argv, cwd=base, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False
        )
    except FileNotFoundError:
        raise SecretError(f"{reference}: there is no program {argv[0]} here; install it, or write another") from None
    except UnicodeDecodeError:
        raise SecretError(f"{reference}: prints what is not text; write one that prints the secret alone") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise SecretError(f"{reference}: {reason}; write a command that prints the secret") from None
    except subprocess.TimeoutExpired:
        raise SecretError(f"{reference}: no answer in 60 s; run it by hand and see why") from None
    if done.returncode:
        raise SecretError(f"{reference}: exits with {done.returncode}; run it by hand and see why")
    return done.stdout.strip()
