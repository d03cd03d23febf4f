"""As much of pyslurm as the child uses; a job's script says what is to happen to the call."""

import os
import time
from types import SimpleNamespace
from typing import Any

assert os.environ.get("PYSLURM_DISABLE_AUTO_INIT"), "would end the process after a minute without slurm.conf"
_STATE = SimpleNamespace(jobs={}, environment={})


class RPCError(Exception):
    def __init__(self, errno: int, msg: str) -> None:
        super().__init__(msg)
        self.errno, self.msg = errno, msg


def slurm_init(path: str | None) -> None:
    print("libslurm talks on stdout, too")
    _STATE.environment = dict(os.environ)
    if os.environ.get("FAKE_NO_CONF"):
        os.write(2, b"fatal: Unable to find slurm.conf\n")
        os._exit(1)


class JobSubmitDescription:
    def __init__(self, **values: Any) -> None:
        self.values = values

    def _create_job_submit_desc(self) -> None:
        if self.values["script"] == "bad":
            raise ValueError("Batch script is empty")
        if self.values["script"] == "mistyped":
            raise TypeError("expected str")
        if self.values["cpus_per_task"] > 0xFFFF:
            raise OverflowError("value too large to convert to uint16_t")

    def submit(self) -> int:
        self._create_job_submit_desc()
        word, _, rest = self.values["script"].partition(" ")
        if word == "hang":
            time.sleep(60)
        if word == "slow":
            time.sleep(float(rest))
        if word == "die":
            os._exit(3)
        if word == "limit":
            os.write(2, f"[2026-01-01T00:00:00] python: error: {rest}\n".encode())
            raise RPCError(2050, "Job violates accounting/QOS policy")
        if word == "fail":
            number, _, words = rest.partition(" ")
            raise RPCError(int(number), words)
        if word == "odd":
            raise RuntimeError("something else")
        if word == "late":
            raise TypeError("after the submit")
        job_id = len(_STATE.jobs) + 1
        _STATE.jobs[job_id] = SimpleNamespace(
            id=job_id, user_id=os.getuid(), comment=self.values["comment"], state="RUNNING", state_reason="None",
            submit_time=1, start_time=2, end_time=9, time_limit=self.values.get("time_limit"), requeue_count=0,
            allocated_nodes="c1", values=self.values,
        )  # fmt: skip
        return job_id


class Jobs:
    @staticmethod
    def load(frozen: bool = False) -> dict[int, Any]:
        stranger = SimpleNamespace(**{**vars(next(iter(_STATE.jobs.values()), SimpleNamespace())), "user_id": -1})
        return {**_STATE.jobs, 99: stranger}


class Job:
    def __init__(self, job_id: int) -> None:
        self.job_id = job_id

    def send_signal(self, name: str, steps: str) -> None:
        assert steps == "batch"
        if self.job_id == 2020:
            raise RPCError(2020, "Job can not be altered now, try again later")
        if self.job_id not in _STATE.jobs:
            raise RPCError(2017, "Invalid job id specified")
        _STATE.jobs[self.job_id].state = f"{name} received"

    def cancel(self) -> None:
        if self.job_id == 13:
            raise RPCError(2002, "Access/permission denied")
        if self.job_id in _STATE.jobs:
            _STATE.jobs[self.job_id].state = "CANCELLED"


class Partitions:
    @staticmethod
    def load() -> dict[str, Any]:
        return {n: SimpleNamespace(name=n, is_default=n == "main") for n in ("main", "short")}


class Nodes:
    @staticmethod
    def load() -> dict[str, Any]:
        both, one = ["main", "short"], ["main"]
        return {
            name: SimpleNamespace(total_cpus=8, real_memory=1000, partitions=partitions, configured_gres=gres)
            for name, partitions, gres in (("c1", both, {"gpu:a100": 4, "gpu": 1}), ("c2", one, {"gpu:a100": 2}))
        }


class db:  # noqa: N801
    class JobFilter:
        def __init__(self, ids: list[int]) -> None:
            self.ids = ids

    class Jobs:
        @staticmethod
        def load(wanted: Any) -> dict[int, Any]:
            if os.environ.get("FAKE_ACCOUNTING") == "up":
                return {i: _record(i) for i in wanted.ids}
            raise RPCError(-1, "Failed to get Jobs from slurmdbd")


def _record(job_id: int) -> Any:
    state, user = {1: ("CANCELLED", "root"), 2: ("CANCELLED", "4711"), 3: ("CANCELLED", "no such user")}.get(
        job_id, ("COMPLETED", None)
    )
    return SimpleNamespace(
        id=job_id, comment="", state=state, submit_time=1, start_time=2, end_time=9, time_limit=5, requeue_count=0,
        nodelist="c1", cancelled_by=user,
    )  # fmt: skip


class slurmctld:  # noqa: N801
    class Config:
        @staticmethod
        def load() -> Any:
            configured = os.environ.get("FAKE_ACCOUNTING")
            return SimpleNamespace(accounting_storage_type=configured and "accounting_storage/slurmdbd")
