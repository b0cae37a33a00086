"""What the sandbox's tests read of a run."""

from __future__ import annotations

import json

from tests.sandbox import lab


def test_an_operation_that_stands_in_two_places_of_a_deploy_keeps_the_hosts_of_both() -> None:
    operations = [
        {"name": "Write config.yaml", "success": ["s3"]},
        {"name": "Write the unit", "success": []},
        {"name": "Write config.yaml", "success": ["a1"]},
    ]
    assert lab.changes(json.dumps({"results": {"operations": operations}})) == {"Write config.yaml": ["a1", "s3"]}
