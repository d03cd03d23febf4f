"""The examples that users start from hold together, before the end-to-end tests run them."""

import json
from typing import Any

import msgspec
import yaml

from interlink.core.pod.support import ignored
from interlink.core.pod.unsupported import refuse_unsupported
from interlink.wire.pod import Pod
from tests.demo.project import ROOT

OBJECTS = list(yaml.safe_load_all((ROOT / "examples" / "workflow.yaml").read_text()))


def files() -> dict[str, str]:
    """Return the files that the workflow's pods see."""
    (found,) = [each["data"] for each in OBJECTS if each["kind"] == "ConfigMap"]
    return dict(found)


def test_the_workflows_scripts_are_python() -> None:
    scripts = {name: text for name, text in files().items() if name.endswith(".py")}
    assert scripts.keys() == {"flow.py", "kube.py", "wait.py"}
    for name, text in scripts.items():
        compile(text, name, "exec")


def test_the_workflows_graph_has_no_circle_and_names_steps_that_are_there() -> None:
    dag, done = json.loads(files()["dag.json"]), set[str]()
    while ready := {name for name in dag if name not in done and done.issuperset(dag[name]["needs"])}:
        done |= ready
    assert done == dag.keys()


def test_nothing_of_the_workflows_pods_is_refused_or_without_effect() -> None:
    step: dict[str, Any] = json.loads(files()["step.json"])
    for template in (step["template"], OBJECTS[-1]["spec"]["template"]):
        pod = msgspec.convert({"metadata": {"name": "p", "namespace": "n", "uid": "u"}, **template}, Pod)
        refuse_unsupported(pod, template["spec"])
        assert not list(ignored(template["spec"], "apptainer"))
