"""Each role's defaults and its argument_specs say the same, and each role has all of its parts."""

from typing import Any

import jinja2
import pytest
import yaml

from tests.unit.ansible.rendering import ROLES, ROOT, defaults, roles


def options(role: str) -> dict[str, Any]:
    """Return the options of a role's main entry point."""
    specs = yaml.safe_load((ROLES / role / "meta" / "argument_specs.yml").read_text())
    found: dict[str, Any] = specs["argument_specs"]["main"]["options"]
    return found


@pytest.mark.parametrize("role", roles())
def test_every_default_is_specified_and_the_other_way_round(role: str) -> None:
    assert set(options(role)) == set(defaults(role))


@pytest.mark.parametrize("role", roles())
def test_specified_defaults_are_the_defaults(role: str) -> None:
    for name, value in defaults(role).items():
        if "{{" in str(value):
            continue
        assert options(role)[name]["default"] == value, name


@pytest.mark.parametrize("role", roles())
def test_every_variable_is_named_after_its_role(role: str) -> None:
    assert all(name.startswith(f"{role}_") for name in defaults(role))


@pytest.mark.parametrize("role", roles())
def test_every_role_says_what_it_does_and_what_to_do_when_it_fails(role: str) -> None:
    assert "## Troubleshooting" in (ROLES / role / "README.md").read_text()


@pytest.mark.parametrize("role", [role for role in roles() if role != "interlink"])
def test_every_role_can_be_removed(role: str) -> None:
    assert (ROLES / role / "tasks" / "remove.yml").exists()


@pytest.mark.parametrize(
    ("nodes", "taken"),
    [
        ([{"name": "a"}, {"name": "b", "config": {"NodeType": "cpu"}}], True),
        ([{"name": "a", "config": {"Walltime": 0}}], True),
        ([{"name": "a"}, {"name": "b", "config": {"Walltime": 3600}}], False),
    ],
)
def test_the_cluster_role_takes_no_walltime(nodes: list[dict[str, Any]], taken: bool) -> None:
    tasks = yaml.safe_load((ROLES / "cluster" / "tasks" / "preflight.yml").read_text())
    (condition,) = (task["ansible.builtin.assert"]["that"] for task in tasks if "walltime" in task["name"])
    expression = jinja2.Environment(autoescape=True).compile_expression(condition)
    assert expression(interlink_virtual_nodes=nodes) is taken


def test_the_example_inventory_has_the_groups() -> None:
    inventory = yaml.safe_load((ROOT / "inventory" / "example.yml").read_text())
    assert set(inventory["all"]["children"]) == {"edge", "cluster"}


def test_nothing_that_holds_a_token_is_shown() -> None:
    """Tasks that read, make or write tokens hide their output, by the switch."""
    for file in ("cluster/tasks/configure.yml", "kubeconfig/tasks/install.yml", "kubeconfig/tasks/configure.yml"):
        for task in yaml.safe_load((ROLES / file).read_text()):
            assert task["no_log"] == "{{ interlink_no_log }}", (file, task["name"])
