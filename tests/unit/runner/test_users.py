"""runAsNonRoot against an image's user, in the kubelet's words."""

from pathlib import Path
from typing import Any

import pytest

from interlink.runner.runtimes import ImageFile, runtime_of
from interlink.runner.users import refusal

WHERE = '(pod: "p_ns(u-1)", container: main)'
ROOT = f"container has runAsNonRoot and image will run as root {WHERE}"


def asked(
    folder: Path, image: ImageFile | None, kind: str = "apptainer", options: tuple[str, ...] = (), **spec: Any
) -> str:
    runtime = {"kind": kind, "options": options}
    plan = {"name": "p", "namespace": "ns", "uid": "u-1", "folder": str(folder), "runtime": runtime}
    return refusal(plan, {"name": "main", "runAsNonRoot": True, **spec}, image, runtime_of(plan))


@pytest.mark.parametrize(
    ("user", "words"),
    [
        ("1234", ""),
        ("1234:0", ""),
        ("", ROOT),
        (None, ROOT),
        ("0", ROOT),
        ("000:5", ROOT),
        ("root", "container has runAsNonRoot and image has non-numeric user (root), cannot verify user is non-root"),
        ("app:1", "container has runAsNonRoot and image has non-numeric user (app), cannot verify user is non-root"),
        ("-1", "container has runAsNonRoot and image has non-numeric user (-1), cannot verify user is non-root"),
    ],
)
def test_an_image_user_that_the_kubelet_would_not_start_is_not_started(
    tmp_path: Path, user: str | None, words: str
) -> None:
    image = ImageFile("/image.sif", {"User": user})
    assert asked(tmp_path, image) in (words, f"{words} {WHERE}")
    assert asked(tmp_path, image, runAsNonRoot=False) == ""
    assert asked(tmp_path, image, runAsUser=1000) == ""


def test_where_no_image_says_a_user_the_job_s_is_the_only_one(tmp_path: Path) -> None:
    assert asked(tmp_path, None, "none") == ""
    assert asked(tmp_path, ImageFile("/site/image.sif")) == ""


@pytest.mark.parametrize(("kind", "option"), [("apptainer", "--fakeroot"), ("enroot", "--root")])
def test_a_runtime_that_is_told_to_make_root_is_no_place_for_such_a_container(
    tmp_path: Path, kind: str, option: str
) -> None:
    image = ImageFile("/image", {"User": "1234"})
    words = f"container has runAsNonRoot and {option} makes it root {WHERE}"
    assert asked(tmp_path, image, kind, (option,), runAsUser=1000) == words
    assert asked(tmp_path, image, kind, ("--nv",)) == ""
