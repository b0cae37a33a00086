"""`homelab health` with just the rights that it asks for, and with half of them, on a real cluster."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes import client, config

from homelab.health import role
from homelab.model import Home
from tests.cluster.conftest import health_of, until
from tests.cluster.test_pods import IMAGE
from tests.sandbox.lab import BIN, ROOT, Lab

NAMESPACE = "kube-system"


@pytest.fixture(scope="module")
def account(api: client.ApiClient, lab: Lab, home, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A kubeconfig of the account that `homelab health role` prints; all of it is gone afterwards."""
    rights, core = client.RbacAuthorizationV1Api(api), client.CoreV1Api(api)
    printed = subprocess.run(
        [str(BIN / "homelab"), "health", "role"], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    ).stdout
    user, made, binding = yaml.safe_load_all(printed)
    core.create_namespaced_service_account(NAMESPACE, user)
    rights.create_cluster_role(made)
    rights.create_cluster_role_binding(binding)
    # `kubectl create token` is there from 1.24 on; a Secret of this type gets a token in every version.
    secret = {
        "metadata": {"name": role.NAME, "annotations": {"kubernetes.io/service-account.name": role.NAME}},
        "type": "kubernetes.io/service-account-token",
    }
    core.create_namespaced_secret(NAMESPACE, secret)

    def token() -> str:
        return str((core.read_namespaced_secret(role.NAME, NAMESPACE).data or {}).get("token", ""))

    given = base64.b64decode(str(until("the account has a token", token))).decode()
    admin: dict[str, Any] = yaml.safe_load(Path(home.cluster.kubeconfig).read_text(encoding="utf-8"))
    server = next(each["cluster"] for each in admin["clusters"] if each["name"] == "homelab-sandbox")
    path = tmp_path_factory.mktemp("role") / "kubeconfig"
    path.write_text(
        yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": "lab", "cluster": server}],
                "users": [{"name": "health", "user": {"token": given}}],
                "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": "health"}}],
                "current-context": "lab",
            }
        ),
        encoding="utf-8",
    )
    path.chmod(0o600)
    yield path
    rights.delete_cluster_role_binding(role.NAME)
    rights.delete_cluster_role(role.NAME)
    core.delete_namespaced_secret(role.NAME, NAMESPACE)
    core.delete_namespaced_service_account(role.NAME, NAMESPACE)


def checks(lab: Lab, kubeconfig: str | Path) -> tuple[int, dict[str, tuple[str, str]]]:
    """The exit code, and of each check how it ended and why."""
    done = health_of(lab, kubeconfig, "--format", "json")
    assert done.stdout, done.stderr
    report = json.loads(done.stdout)
    return done.returncode, {each["code"]: (each["status"], each["reason"]) for each in report["checks"]}


# Of these the answer depends on who asks, on the inventory that the other kubeconfig's context names, or on a right
# that the role is without on purpose.
OWN = ("CERT002", "NODE008", "NODE009", "NODE016", "STOR008")


def runs_every_check(account: Path, lab: Lab, home: Home) -> None:
    """Whoever asks by this kubeconfig is told as much as who may do anything, or which right it lacks."""
    assert home.cluster is not None
    code, mine = checks(lab, account)
    _, whole = checks(lab, home.cluster.kubeconfig)
    assert code in (0, 1, 2)
    assert {name for name, (status, _) in mine.items() if status == "failed"} == set()
    skipped = {name: why for name, (status, why) in mine.items() if status == "skipped" and name not in OWN}
    assert skipped == {name: why for name, (status, why) in whole.items() if status == "skipped" and name not in OWN}


def may_only_look(account: Path, namespace: str, secret: str) -> None:
    """Whoever asks by this kubeconfig can neither write nor read what is nobody's business."""
    core = client.CoreV1Api(config.new_client_from_config(str(account)))
    tried = {
        "read a Secret": lambda: core.read_namespaced_secret(secret, namespace),
        "list Secrets": lambda: core.list_secret_for_all_namespaces(),
        "list ConfigMaps": lambda: core.list_config_map_for_all_namespaces(),
        "make a namespace": lambda: core.create_namespace({"metadata": {"name": "tried"}}),
        "delete a pod": lambda: core.delete_namespaced_pod("tried", namespace),
        "cordon a node": lambda: core.patch_node(core.list_node().items[0].metadata.name, {"spec": {}}),
        "run in a pod": lambda: core.connect_post_namespaced_pod_exec("tried", namespace),
        "read a log": lambda: core.read_namespaced_pod_log("tried", namespace),
    }
    for what, act in tried.items():
        with pytest.raises(client.ApiException) as refused:
            act()
        assert refused.value.status == 403, what


def test_with_just_these_rights_every_check_runs(account: Path, lab: Lab, home: Home) -> None:
    runs_every_check(account, lab, home)


def test_nothing_can_be_written_and_no_secret_read(account: Path) -> None:
    may_only_look(account, NAMESPACE, role.NAME)


def test_to_try_things_out_takes_the_role_for_it(account: Path, api: client.ApiClient, lab: Lab) -> None:
    def tried() -> dict[str, str]:
        arguments = ("--deep", "--deep-image", IMAGE, "--deep-timeout", "300", "--only", "DEEP", "--format", "json")
        done = health_of(lab, account, *arguments, timeout=600)
        assert done.stdout and not done.stderr, done.stderr
        return {each["code"]: each["status"] for each in json.loads(done.stdout)["checks"]}

    rights = client.RbacAuthorizationV1Api(api)
    assert set(tried().values()) == {"skipped"}
    *_, made, binding = role.objects(NAMESPACE, deep=True)
    rights.create_cluster_role(made)
    rights.create_cluster_role_binding(binding)
    try:
        answers: list[dict[str, str]] = []

        def all_ran() -> bool:
            answers.append(tried())
            return all(answers[-1][f"DEEP00{number}"] == "ok" for number in range(1, 5))

        until("all is tried out", all_ran, 900, lambda: str(answers[-1]))
    finally:
        rights.delete_cluster_role_binding(role.DEEP)
        rights.delete_cluster_role(role.DEEP)


def test_what_half_the_rights_leave_out_is_skipped_and_said(account: Path, api: client.ApiClient, lab: Lab) -> None:
    rights = client.RbacAuthorizationV1Api(api)
    code, before = checks(lab, account)
    rules = role.rules()
    # Without nodes and pods the cluster cannot be judged at all; of the rest every other group is taken away.
    kept = [each for number, each in enumerate(rules) if number % 2 == 0 or each.get("apiGroups") == [""]]
    rights.patch_cluster_role(role.NAME, {"rules": kept})
    try:

        def fewer() -> bool:
            return sum(status == "skipped" for status, _ in checks(lab, account)[1].values()) > sum(
                status == "skipped" for status, _ in before.values()
            )

        until("checks are skipped", fewer)
        less, after = checks(lab, account)
    finally:
        rights.patch_cluster_role(role.NAME, {"rules": rules})
    assert less == code
    skipped = {name: why for name, (status, why) in after.items() if status == "skipped" and before[name][0] != status}
    assert skipped and all("may not be read" in why or "forbidden" in why for why in skipped.values()), skipped
    assert "failed" not in {status for status, _ in after.values()}
