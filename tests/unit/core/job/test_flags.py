"""sbatch flags as text: read as sbatch reads them, and whatever the text, nothing but options of sbatch comes out."""

import shlex

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from interlink.core.errors import UnsupportedPod
from interlink.core.job.flags import Flags, check_value, merge, parse_flags
from interlink.core.job.policy import NEVER, FlagPolicy
from interlink.core.job.sbatch import INSTEAD_OF_EACH_OTHER, OPTIONS, SHORT

#: Text that looks like flags, and text that looks like an attack.
PIECES = st.sampled_from(
    [
        *(f"--{name}" for name in OPTIONS),
        *(f"-{letter}" for letter in SHORT),
        "=",
        " ",
        "'",
        '"',
        "\\",
        "--",
        "-",
        ":",
        "8",
        "a",
        "$(id)",
        "`id`",
        ";",
        "&&",
        "\n",
        "\x00",
        "\t",
        "#SBATCH",
        "--uid=0",
        "/etc/passwd",
        "é",
        "\u202e",
        "--wrap",
    ]
)
TEXTS = st.one_of(st.lists(PIECES, max_size=12).map("".join), st.lists(PIECES, max_size=12).map(" ".join), st.text())


def flags(text: str) -> Flags:
    return parse_flags("flags", text)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", {}),
        ("--partition=gpu", {"partition": "gpu"}),
        ("--partition gpu", {"partition": "gpu"}),
        ("-p gpu", {"partition": "gpu"}),
        ("-pgpu", {"partition": "gpu"}),
        ("-p=gpu", {"partition": "gpu"}),
        ("--partition=a --partition b -p c", {"partition": "c"}),
        ("--job-name=test-pod-cfg -t 2800  --ntasks=8 --nodes=1 --mem-per-cpu=2000",
         {"job-name": "test-pod-cfg", "time": "2800", "ntasks": "8", "nodes": "1", "mem-per-cpu": "2000"}),
        ("--constraint='a b' -C \"c&d\"", {"constraint": "c&d"}),
        ("--exclusive", {"exclusive": ""}),
        ("--exclusive=user --contiguous", {"exclusive": "user", "contiguous": ""}),
        ("-HO", {"hold": "", "overcommit": ""}),
        ("-sn8", {"oversubscribe": "", "ntasks": "8"}),
        ("--requeue --no-requeue", {"no-requeue": ""}),
        ("--mem=1G --mem-per-cpu=2G", {"mem-per-cpu": "2G"}),
        ("--tasks-per-node=3", {"ntasks-per-node": "3"}),
    ],
)  # fmt: skip
def test_flags_are_read_as_sbatch_reads_them(text: str, found: Flags) -> None:
    assert flags(text) == found


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("--partitoin=x", "--partitoin is no option of sbatch; the nearest one is --partition"),
        ("-Z", "-Z is no option"),
        ("gpu", "'gpu' belongs to no option"),
        ("--exclusive user", "'user' belongs to no option"),
        ("--partition=a : --partition=b", "':' belongs to no option"),
        ("--contiguous=yes", "--contiguous takes no value"),
        ("--partition", "--partition needs a value"),
        ("--partition=", "--partition needs a value"),
        ("--partition --uid=0", "--partition cannot have a value that begins with \"-\": '--uid=0'"),
        ("--nice=-5", 'cannot have a value that begins with "-"'),
        ("--constraint='a", "a quote in"),
        ("--partition=a\0b", "NUL byte"),
        ("--constraint='a\nb'", "cannot be printed"),
        ("--constraint=" + "a" * 2000, "more than 1024"),
        ("-O=3", "-O takes no value"),
    ],
)
def test_what_sbatch_would_not_understand_is_refused_with_the_word(text: str, words: str) -> None:
    with pytest.raises(UnsupportedPod) as caught:
        flags(text)
    assert words in str(caught.value)


@given(TEXTS)
@example("--partition=a --wrap='id'")
@example("--comment=x\n#SBATCH --uid=0")
def test_whatever_the_text_only_options_of_the_table_with_harmless_values_come_out(text: str) -> None:
    try:
        found = flags(text)
    except UnsupportedPod:
        return
    for name, value in found.items():
        assert name in OPTIONS
        assert not value.startswith("-")
        assert value.isprintable()
        assert OPTIONS[name] != "value" or value
        assert OPTIONS[name] != "nothing" or not value
    for group in INSTEAD_OF_EACH_OTHER:
        assert len(group & found.keys()) <= 1


@given(TEXTS)
def test_whatever_the_text_the_policy_lets_nothing_through_that_is_never_possible(text: str) -> None:
    try:
        found = flags(text)
        FlagPolicy().check("flags", found)
    except UnsupportedPod:
        return
    assert not found.keys() & (NEVER.keys() | {"priority", "reboot"})
    assert "/" not in found.get("nodelist", "") + found.get("exclude", "")


_NAMES = st.sampled_from([name for name, takes in OPTIONS.items() if takes == "value"])
_VALUES = st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S"]), min_size=1, max_size=20).filter(
    lambda value: not value.startswith("-") and value.isprintable()
)


@given(st.dictionaries(_NAMES, _VALUES, max_size=6))
def test_what_is_written_with_quotes_comes_back(wanted: Flags) -> None:
    wanted = merge(wanted)
    assert flags(" ".join(f"--{name}={shlex.quote(value)}" for name, value in wanted.items())) == wanted
    assert flags(" ".join(f"--{name} {shlex.quote(value)}" for name, value in wanted.items())) == wanted
    short = {name: letter for letter, name in SHORT.items()}
    text = " ".join(f"-{short[name]} {shlex.quote(value)}" for name, value in wanted.items() if name in short)
    assert flags(text) == {name: value for name, value in wanted.items() if name in short}


def test_the_stronger_layer_counts_also_over_an_opposite() -> None:
    assert merge({"mem": "1G", "qos": "a"}, {"mem-per-cpu": "2G"}, {"qos": "b"}) == {"mem-per-cpu": "2G", "qos": "b"}


@pytest.mark.parametrize("name", sorted(NEVER))
def test_what_is_never_possible_is_refused_by_name_and_with_the_reason(name: str) -> None:
    with pytest.raises(UnsupportedPod, match=rf"the annotation: --{name} is never possible: \w+"):
        FlagPolicy(allowed=frozenset({name}), refused=frozenset()).check("the annotation", {name: "x"})


@pytest.mark.parametrize(
    "name",
    [
        "uid",
        "gid",
        "wrap",
        "output",
        "error",
        "input",
        "comment",
        "export",
        "export-file",
        "chdir",
        "get-user-env",
        "bb",
        "bbf",
        "container",
        "container-id",
        "array",
        "clusters",
        "nodefile",
        "open-mode",
    ],
)
def test_nothing_changes_the_jobs_user_streams_script_or_identity(name: str) -> None:
    assert name in NEVER


def test_the_administrators_policy_allows_refuses_and_forces() -> None:
    policy = FlagPolicy(frozenset({"qos", "account"}), frozenset({"qos"}), {"account": "site"})
    policy.check("w", {"account": "site"})
    with pytest.raises(UnsupportedPod, match="w: --partition is not allowed on this site"):
        policy.check("w", {"partition": "x"})
    with pytest.raises(UnsupportedPod, match="w: --qos is not allowed on this site"):
        policy.check("w", {"qos": "x"})
    with pytest.raises(UnsupportedPod, match="--account=mine is not allowed: this site sets --account=site"):
        policy.check("w", {"account": "mine"})
    with pytest.raises(UnsupportedPod, match="this site sets --account=of-the-namespace"):
        policy.within({"account": "of-the-namespace"}).check("w", {"account": "site"})


@pytest.mark.parametrize("name", ["nodelist", "exclude"])
def test_a_file_of_the_edge_host_is_never_read(name: str) -> None:
    with pytest.raises(UnsupportedPod, match="sbatch would read that file"):
        FlagPolicy().check("w", {name: "/etc/shadow"})


def test_a_value_is_checked_wherever_it_comes_from() -> None:
    with pytest.raises(UnsupportedPod, match="cannot be printed"):
        check_value("nodeSelector x", "partition", "a\nb")
