"""What annotations change of a plan: GPUs, MPI, runtime options, mounts, image roots, pre-exec."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlink.core.errors import UnsupportedPod
from interlink.core.job.finish import finish_plan, image_prefix, pre_exec, with_site_mounts
from interlink.core.job.mpi import MPIEXEC, SRUN, MpiSettings, plan_mpi
from interlink.core.job.placement import place
from interlink.core.job.rules import JobRules
from interlink.core.job.runtime_options import ALREADY, HARMLESS, SiteMount, runtime_mounts, runtime_options
from interlink.core.plan import Plan, PlanMpi
from interlink.core.pod.build import PlanSettings, build_plan
from interlink.wire.pod import Pod
from tests.unit.core.pods import make_pod, make_request

VK = "slurm-job.vk.io/"
WORDS = [
    "--bind", "-B", "--mpi=pmix", "-np", "--mca", "plm_rsh_agent", "sh", "-c", "/etc", ":", ",", "=", "$(id)", "-x",
    "/a:/b:ro", "--nv", "--env=X=1", "--fakeroot", "..", "\n", "\0", "LD_PRELOAD=/tmp/x",
]  # fmt: skip
HOSTILE = st.one_of(st.text(max_size=60), st.lists(st.sampled_from(WORDS), max_size=6).map(" ".join))


def finished(pod: Pod, rules: JobRules | None = None) -> Plan:
    rules = rules or JobRules()
    plan = build_plan(make_request(pod), folder="/d/jobs/u", spool="/d/spool", settings=PlanSettings())
    return finish_plan(plan, pod, place(pod, rules, grace=30), rules)


def annotated(**annotations: str) -> Pod:
    return make_pod(annotations={VK + name.replace("_", "-"): value for name, value in annotations.items()})


def test_only_containers_that_ask_for_gpus_see_them() -> None:
    gpu: dict[str, Any] = {"resources": {"limits": {"amd.com/gpu": 1}}}
    plan = finished(make_pod(gpu, {"name": "b"}))
    assert [each.gpu for each in plan.containers] == ["amd", ""]
    plan = finished(annotated(flags="--gres=gpu:1"))
    assert [each.gpu for each in plan.containers] == ["nvidia"]
    assert finished(make_pod()).containers[0].gpu == ""


def test_mpi_flags_start_every_container_on_all_tasks() -> None:
    plan = finished(annotated(mpi_flags="--mpi=pmix --cpu-bind cores -K", tasks="4"))
    assert plan.mpi == PlanMpi(launcher="srun", executable="srun", flags=["--mpi=pmix", "--cpu-bind", "cores", "-K"])
    assert [each.mpi for each in plan.containers] == [True]
    assert finished(make_pod()).mpi is None
    site = MpiSettings("mpiexec", "/opt/mpi/bin/mpiexec")
    assert plan_mpi(annotated(mpi_flags="true"), site) == PlanMpi(
        launcher="mpiexec", executable="/opt/mpi/bin/mpiexec", flags=[]
    )
    assert plan_mpi(annotated(mpi_flags="--mca btl ^openib --bind-to core -np 4"), site) is not None
    assert plan_mpi(annotated(mpi_flags="false"), site) is None


def test_tasks_have_neither_probes_nor_hooks() -> None:
    pod = make_pod(
        {"name": "ring", "lifecycle": {"preStop": {"exec": {"command": ["true"]}}}},
        annotations={VK + "mpi-flags": "true"},
    )
    with pytest.raises(UnsupportedPod, match='container "ring": probes and hooks are not possible'):
        finished(pod)


@pytest.mark.parametrize(
    ("launcher", "flags", "word"),
    [
        ("srun", "hostname", "'hostname'"),
        ("srun", "--task-prolog=/tmp/x", "'--task-prolog=/tmp/x'"),
        ("srun", "--mpi /tmp/x", "'/tmp/x'"),
        ("srun", "--uid=0", "'--uid=0'"),
        ("srun", "-n", "no value"),
        ("mpiexec", "--mca plm_rsh_agent x", "plm_rsh_agent"),
        ("mpiexec", "-x LD_PRELOAD=/tmp/x.so", "'-x'"),
        ("mpiexec", "-np 4 sh", "'sh'"),
        ("mpiexec", "--bind-to --wdir", "'--wdir'"),
    ],
)  # fmt: skip
def test_a_launchers_flag_that_could_start_something_is_refused_by_name(launcher: Any, flags: str, word: str) -> None:
    with pytest.raises(UnsupportedPod) as caught:
        plan_mpi(annotated(mpi_flags=flags), MpiSettings(launcher))
    assert word in str(caught.value)


@given(HOSTILE, st.sampled_from(["srun", "mpiexec"]))
def test_whatever_mpi_flags_say_every_word_is_a_flag_or_its_value(text: str, launcher: Any) -> None:
    try:
        found = plan_mpi(annotated(mpi_flags=text), MpiSettings(launcher))
    except UnsupportedPod:
        return
    words = iter(found.flags if found else [])
    known = SRUN if launcher == "srun" else MPIEXEC
    for word in words:
        flag, equals, value = word.partition("=")
        values = [value] if equals else [next(words) for _ in range(known[flag])]
        assert not any(each.startswith("-") or set("/$`;|&\n\0 ") & set(each) for each in values)


def test_options_of_the_runtime_are_a_known_list_and_what_the_site_adds() -> None:
    assert runtime_options(annotated(singularity_options="--nv --containall -e"), "singularity", frozenset()) == [
        "--nv"
    ]
    allowed = frozenset({"--fakeroot", "--env"})
    pod = annotated(singularity_options="--fakeroot '--env=A=b c'")
    assert runtime_options(pod, "singularity", allowed) == ["--fakeroot", "--env=A=b c"]
    for text, name in (
        ("--bind /:/x", "--bind"),
        ("--nv=1", "--nv"),
        ("--add-caps=all", "--add-caps"),
        ("/x", "no option"),
    ):
        with pytest.raises(UnsupportedPod, match=name):
            runtime_options(annotated(singularity_options=text), "singularity", allowed)
    assert finished(annotated(singularity_options="--rocm")).runtime.options == ["--rocm"]
    assert finished(annotated(enroot_options="--anything")).runtime.options == [], "it is for another runtime"


@given(HOSTILE)
def test_whatever_the_options_say_only_known_ones_pass(text: str) -> None:
    try:
        found = runtime_options(annotated(singularity_options=text), "singularity", frozenset())
    except UnsupportedPod:
        return
    assert set(found) <= HARMLESS["singularity"] - ALREADY["singularity"]


@pytest.mark.parametrize(
    ("text", "mounts"),
    [
        ("--bind /a:/b:ro,/c -B /d:/e:rw", [SiteMount("/a", "/b", True), SiteMount("/c", "/c"), SiteMount("/d", "/e")]),
        ("--bind=/a:/b", [SiteMount("/a", "/b")]),
        ("/cvmfs:/cvmfs:ro", [SiteMount("/cvmfs", "/cvmfs", True)]),
        ("", []),
    ],
)
def test_mounts_of_the_runtime_are_read(text: str, mounts: list[SiteMount]) -> None:
    assert runtime_mounts(annotated(singularity_mounts=text), "singularity") == mounts


@pytest.mark.parametrize(
    "text", ["a:/b", "--bind", "--bind /a:/b:suid", "--overlay /x", "/a/../etc:/b", "/a:b", "/a\0:/b"]
)
def test_other_mounts_are_refused_by_name(text: str) -> None:
    with pytest.raises(UnsupportedPod, match=r"slurm-job.vk.io/singularity-mounts"):
        runtime_mounts(annotated(singularity_mounts=text), "singularity")


def test_mounts_become_host_path_volumes_so_that_one_policy_says_what_may_be_mounted() -> None:
    pod = with_site_mounts(annotated(singularity_mounts="/data:/in:ro"), "apptainer")
    assert pod.spec.volumes == [{"name": "singularity-mounts-1", "hostPath": {"path": "/data"}}]
    mount = (pod.spec.containers[0].volumeMounts or [])[0]
    assert (mount.name, mount.mountPath, mount.readOnly) == ("singularity-mounts-1", "/in", True)
    assert with_site_mounts(annotated(enroot_mounts="/data"), "apptainer").spec.volumes is None


def test_an_image_root_takes_the_prefixs_place() -> None:
    assert image_prefix(make_pod(), "docker://") == "docker://"
    assert image_prefix(annotated(image_root="/cvmfs/images/"), "docker://") == "/cvmfs/images/"
    assert image_prefix(annotated(image_root="oras://"), "docker://") == "oras://"
    for root in ("instance://", "--bind", "../x", "/a/../b", "docker://a b", "/a\n"):
        with pytest.raises(UnsupportedPod, match="image-root"):
            image_prefix(annotated(image_root=root), "docker://")


def test_pre_exec_is_the_administrators_to_allow() -> None:
    text = "cat <<'EOFMESH' > $TMPDIR/mesh.sh\n  $(id) `id` {{ x }}\nEOFMESH\nchmod +x $TMPDIR/mesh.sh\n"
    pod = annotated(pre_exec=text)
    with pytest.raises(UnsupportedPod, match=r"pre-exec is not allowed in namespace ns: .* PreExecNamespaces"):
        pre_exec(pod, JobRules())
    with pytest.raises(UnsupportedPod, match="not allowed"):
        pre_exec(pod, JobRules(pre_exec=frozenset({"other"})))
    for allowed in ("ns", "*"):
        assert pre_exec(pod, JobRules(pre_exec=frozenset({allowed}))) == text
    assert pre_exec(make_pod(), JobRules()) == ""
