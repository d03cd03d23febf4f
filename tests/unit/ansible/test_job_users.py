"""Whom the configuration names for jobs, as the role slurm_sidecar works it out before it installs anything."""

from typing import Any

import jinja2.nativetypes
import pytest
import yaml

from tests.unit.ansible.rendering import ROLES, variables


def named(**given: Any) -> list[Any]:
    """Return the users by name and by number, as one list."""
    expressions = yaml.safe_load((ROLES / "slurm_sidecar" / "vars" / "main.yml").read_text())
    environment = jinja2.nativetypes.NativeEnvironment()
    found = []
    for key in ("slurm_sidecar_named_users", "slurm_sidecar_numbered_users"):
        found += list(environment.from_string(expressions[key]).render(variables(**given)))
    return found


@pytest.mark.parametrize(
    ("given", "users"),
    [
        ({}, []),
        ({"interlink_flavors": {"a": {"Partition": "main"}, "b": {}}, "interlink_job_namespaces": {"n": {}}}, []),
        ({"interlink_job_namespaces": {"n": {"User": "interlink"}}, "interlink_config": {"DefaultUID": 964}}, []),
        ({"interlink_job_namespaces": {"n": {"User": "alice"}, "m": {"User": "alice"}}}, ["alice"]),
        ({"interlink_job_user": "bob", "interlink_config": {"Namespaces": {"n": {"User": "alice"}}}}, ["alice", "bob"]),
        ({"interlink_flavors": {"a": {"UID": 1501}, "b": {}}}, [1501]),
        ({"interlink_run_as_user_ranges": ["1000-1999"]}, ["1000-1999"]),
        ({"interlink_config": {"JobUser": "carol", "RunAsUserRanges": ["7"]}}, ["carol", "7"]),
    ],
)
def test_users_besides_the_services_own_are_found_wherever_they_are_named(
    given: dict[str, Any], users: list[Any]
) -> None:
    assert named(**given) == users
