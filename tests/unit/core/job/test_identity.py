"""Whose job a pod becomes: never root's, and never silently another's than the pod says."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlink.core.errors import UnsupportedPod
from interlink.core.job.identity import Account, IdentityPolicy, job_account
from tests.unit.core.pods import make_pod

ALICE = Account("alice", 1001, 100, frozenset({100, 200}))
BOB = Account("bob", 1002, 100)
SERVICE = Account("interlink", 964, 964)
ROOT = Account("root", 0, 0)
NOBODY = IdentityPolicy()
OPEN = IdentityPolicy(run_as_user=((1001, 1999),))


class Site:
    def own(self) -> Account:
        return SERVICE

    def by_name(self, name: str) -> Account | None:
        return next((each for each in (ALICE, BOB, SERVICE, ROOT) if each.name == name), None)

    def by_uid(self, uid: int) -> Account | None:
        return next((each for each in (ALICE, BOB, SERVICE, ROOT) if each.uid == uid), None)


def account(policy: IdentityPolicy = NOBODY, namespace: str = "", flavor: int | None = None, **context: Any) -> Account:
    pod = make_pod(securityContext=context or None)
    return job_account(pod, policy, Site(), of_namespace=namespace, of_flavor=flavor)


def test_the_order() -> None:
    site = IdentityPolicy("alice", OPEN.run_as_user)
    assert account() == SERVICE
    assert account(site) == ALICE
    assert account(IdentityPolicy("1002")) == BOB
    assert account(site, flavor=1002) == BOB
    assert account(site, flavor=1001, runAsUser=1002) == BOB
    assert account(site, namespace="bob", flavor=1001) == BOB


def test_what_equals_the_jobs_user_is_fine() -> None:
    assert account(runAsUser=964, runAsGroup=964) == SERVICE
    assert account(IdentityPolicy("alice"), runAsUser=1001, runAsGroup=100, supplementalGroups=[100, 200]) == ALICE


@pytest.mark.parametrize(
    ("context", "words"),
    [
        ({"runAsUser": 1001}, "the pod: runAsUser 1001 is not possible: the job runs as interlink"),
        ({"runAsUser": 0}, "the pod: runAsUser 0 is not possible"),
        ({"runAsGroup": 5}, "the pod: runAsGroup 5 is not possible: the job's group is that of interlink"),
        ({"supplementalGroups": [5]}, "the pod: supplementalGroups 5: interlink is not in that group"),
    ],
)
def test_another_user_or_group_is_refused_by_name(context: dict[str, Any], words: str) -> None:
    with pytest.raises(UnsupportedPod, match=words):
        account(**context)


def test_a_job_of_roots_is_no_place_for_a_pod_that_must_not_be_root() -> None:
    pod = make_pod({}, securityContext={"runAsNonRoot": True})
    assert job_account(pod, IdentityPolicy(), Site()) == SERVICE

    class RootsOwn(Site):
        def own(self) -> Account:
            return Account("root", 0, 0)

    with pytest.raises(UnsupportedPod, match=r"the pod: runAsNonRoot is not possible: the job runs as root"):
        job_account(pod, IdentityPolicy(), RootsOwn())


def test_a_namespaces_user_cannot_be_left_by_run_as_user() -> None:
    with pytest.raises(UnsupportedPod, match="runAsUser 1001 is not possible: the job runs as bob"):
        account(OPEN, namespace="bob", runAsUser=1001)


def test_users_that_the_site_does_not_have_are_refused() -> None:
    for asked in ({"policy": OPEN, "runAsUser": 1500}, {"namespace": "carol"}, {"flavor": 77}):
        with pytest.raises(UnsupportedPod, match="is not known on the edge host"):
            account(**asked)


def test_containers_have_one_user_together() -> None:
    pod = make_pod({"securityContext": {"runAsUser": 1001}}, {"name": "b", "securityContext": {"runAsUser": 1002}})
    with pytest.raises(UnsupportedPod, match=r"runAsUser differ \(1001, 1002\)"):
        job_account(pod, OPEN, Site())
    pod = make_pod({"securityContext": {"runAsUser": 1001}}, {"name": "b"})
    assert job_account(pod, OPEN, Site()) == ALICE


@given(st.integers(-1, 3), st.sampled_from(["", "root", "0"]), st.sampled_from([None, 0]), st.booleans())
def test_no_way_leads_to_root(uid: int, user: str, flavor: int | None, wide: bool) -> None:
    policy = IdentityPolicy(user, ((0, 10**9),) if wide else ())
    try:
        found = account(policy, namespace="root" if uid < 0 else "", flavor=flavor, runAsUser=max(uid, 0))
    except UnsupportedPod:
        return
    assert found.uid != 0
