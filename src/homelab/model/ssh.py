"""pyinfra's connection keys, and what of them a home may use."""

from collections.abc import Iterator, Mapping

from homelab.model.names import no_path
from homelab.model.strict import shown, words

# pyinfra 3.10, connectors/ssh.py: ConnectorData. A test compares.
SSH_KEYS: Mapping[str, type] = {
    "ssh_hostname": str,
    "ssh_port": int,
    "ssh_user": str,
    "ssh_password": str,
    "ssh_key": str,
    "ssh_key_password": str,
    "ssh_allow_agent": bool,
    "ssh_look_for_keys": bool,
    "ssh_forward_agent": bool,
    "ssh_config_file": str,
    "ssh_known_hosts_file": str,
    "ssh_strict_host_key_checking": str,
    "ssh_paramiko_connect_kwargs": dict,
    "ssh_connect_retries": int,
    "ssh_connect_retry_min_delay": float,
    "ssh_connect_retry_max_delay": float,
    "ssh_file_transfer_protocol": str,
}
# pyinfra 3.10, connectors/fake.py: FakeConnectorData.
FAKE_KEYS = ("fake_responses", "fake_delay", "fake_delay_jitter")

# pyinfra 3.10, api/arguments.py: as host data each of these silently changes every operation.
ARGUMENTS = words(
    """
    _chdir _continue_on_error _doas _doas_user _dzdo _dzdo_user _env _get_pty _if _ignore_errors _parallel
    _preserve_su_env _preserve_sudo_env _retries _retry_delay _retry_until _run_once _serial
    _shell_executable _stdin _su_password _su_shell _su_user _success_exit_codes _sudo _sudo_password
    _sudo_user _temp_dir _timeout _use_su_login _use_sudo_login
    """
)

_FILES = ("ssh_key", "ssh_config_file", "ssh_known_hosts_file")
_SPELLED = {str: "a string", int: "a whole number", bool: "True or False", dict: "a dict", float: "a number"}


def check(ssh: Mapping[str, object]) -> Iterator[tuple[str, str, str]]:
    """What is wrong with a host's connection keys: key, what was found, remedy."""
    for key, value in ssh.items():
        if key in ("ssh_password", "ssh_key_password"):
            # pyinfra hands the text to the server as it stands, so a reference would not help here.
            yield key, "a secret in clear", "write ssh_key, its passphrase held by an SSH agent"
            continue
        wanted = SSH_KEYS[key]
        fits = isinstance(value, int | float if wanted is float else wanted)
        if not fits or (isinstance(value, bool) and wanted is not bool):
            yield key, f"is of type {type(value).__name__}", f"write {_SPELLED[wanted]}"
        elif key == "ssh_strict_host_key_checking" and value not in ("yes", "accept-new"):
            yield (
                key,
                f"{shown(value)}: host keys are verified here",
                'write "yes", or "accept-new" to trust a host when it is first seen',
            )
        elif key == "ssh_known_hosts_file" and str(value) == "/dev/null":
            yield key, "'/dev/null': host keys are verified here", "write a file, or leave it out"
        elif key in _FILES and (wrong := no_path(str(value))):
            yield key, wrong, 'write one, "~/.ssh/..."'
        elif key == "ssh_port" and not 0 < int(str(value)) < 65536:
            yield key, f"{value} is not a port", "write a number from 1 to 65535"
        elif key == "ssh_paramiko_connect_kwargs" and isinstance(value, dict):
            for name in sorted({"password", "passphrase", "pkey"} & set(value)):
                yield f"{key}.{name}", "a secret in clear", "write ssh_key and use an SSH agent"
