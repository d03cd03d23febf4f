"""The inventory that the test bed writes for Ansible."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import yaml

from tests.testbed import images, inventory
from tests.testbed.bed import Bed
from tests.testbed.layout import Host


@pytest.fixture
def rendered(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(images, "tag", lambda bed, name: f"interlink-testbed/{name}:0123")
    return yaml.safe_load(inventory.render(bed))["all"]


def test_the_edge_is_reached_by_ssh_with_a_known_key(bed: Bed, rendered: Any) -> None:
    edge = rendered["children"]["edge"]["hosts"]["edge"]
    assert edge["ansible_host"] == "192.0.2.10"
    assert edge["ansible_user"] == "root"
    assert edge["ansible_python_interpreter"] == "/usr/bin/python3"
    assert "StrictHostKeyChecking=yes" in edge["ansible_ssh_common_args"]
    assert str(bed.paths.known_hosts) in edge["ansible_ssh_common_args"]


def test_the_cluster_is_reached_from_here(bed: Bed, rendered: Any) -> None:
    cluster = rendered["children"]["cluster"]["hosts"]["cluster"]
    assert cluster == {
        "ansible_connection": "local",
        "ansible_python_interpreter": "{{ ansible_playbook_python }}",
        "interlink_kubeconfig": str(bed.kubeconfig),
    }


def test_the_site_is_described(rendered: Any) -> None:
    assert rendered["vars"]["interlink_image_prefix"] == "docker://192.0.2.1:5000/"
    assert rendered["vars"]["interlink_edge_address"] == "192.0.2.10"
    assert rendered["children"]["edge"]["vars"]["interlink_shared_folder"] == "/srv/interlink"


def test_further_site_hosts_have_a_group_of_their_own(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "tag", lambda bed, name: name)
    bed.layout = replace(bed.layout, site=(*bed.layout.site, Host("c1", 11, ("slurmd",))))
    found = yaml.safe_load(inventory.render(bed))["all"]["children"]
    assert list(found["edge"]["hosts"]) == ["edge"]
    assert found["site"]["hosts"]["c1"]["ansible_host"] == "192.0.2.11"
