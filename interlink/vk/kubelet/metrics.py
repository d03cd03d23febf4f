"""/metrics: what this virtual node does, for those who watch over it; nothing of it is asked of anybody.

A route of ``routes.py``. Names begin with interlink_vk; those of the process are Prometheus' own, those of its requests
are the same at the port of every node of the process.
"""

import os
import resource
import time
from collections import Counter as Tally
from pathlib import Path
from typing import TYPE_CHECKING

from interlink.vk.metrics import Histogram, family, gauge
from interlink.vk.node.status import VERSION
from interlink.vk.pods.queue import RetryLater, Worker

if TYPE_CHECKING:
    from interlink.vk.virtual_node import VirtualNode

#: When the kernel started this process, in clock ticks since the machine did (proc(5), field 22 of stat).
_START_FIELD = 21


class NodeMetrics:
    """Counts what the node's pods need, and tells it with what its parts know."""

    def __init__(self, node: "VirtualNode") -> None:
        self.node = node
        self._looks = Histogram(
            "interlink_vk_reconcile_duration_seconds",
            "One look at one pod. Result retry: another side was away or not ready; error: unexpected, see the log.",
            ("result",),
        )

    def timed(self, worker: Worker) -> Worker:
        """Return the worker, measured."""

        async def work(uid: str) -> float | None:
            began, result = time.perf_counter(), "error"
            try:
                again = await worker(uid)
                result = "ok"
            except RetryLater:
                result = "retry"
                raise
            finally:
                self._looks.observe(time.perf_counter() - began, result)
            return again

        return work

    def text(self) -> str:
        """Return all of it in Prometheus' format."""
        return "".join((self._pods(), self._looks.text(), self._cluster(), self._port(), self._process()))

    def _pods(self) -> str:
        node = self.node
        phases = Tally(record.phase for record in node.store.pods.values())
        patches = {"written": node.writer.written, "spared": node.writer.spared}
        return (
            gauge("interlink_vk_queue_depth", "Pods that wait for a look.", node.queue.depth)
            + gauge("interlink_vk_queue_pods", "Pods that wait, are looked at, or wait out a pause.", node.queue.known)
            + family(
                "interlink_vk_pods",
                "gauge",
                "Pods of the node.",
                [({"phase": p}, n) for p, n in sorted(phases.items())],
            )
            + family(
                "interlink_vk_status_patches_total",
                "counter",
                "Statuses that were written, and those that were spared because nothing differed.",
                [({"result": result}, count) for result, count in patches.items()],
            )
        )

    def _cluster(self) -> str:
        node, now = self.node, time.monotonic()
        reflector, lease = node.reflector, node.lease
        reachable = node.shared.link.reachable
        age = now - lease.renewed if lease.renewed else None
        watches = {"list": reflector.lists, "watch": reflector.watches}
        return (
            family(
                "interlink_vk_watch_restarts_total",
                "counter",
                "How often the pods were listed, and a watch of them begun.",
                [({"what": what}, count) for what, count in watches.items()],
            )
            + gauge("interlink_vk_lease_age_seconds", "Time since the node's lease was renewed.", age)
            + gauge("interlink_vk_edge_reachable", "Whether InterLink answers: 1 or 0.", reachable)
            + family(
                "interlink_vk_loop_age_seconds",
                "gauge",
                "Time since each loop of the process gave a sign of life.",
                [({"loop": name}, age) for name, age in node.shared.pulse.ages().items()],
            )
        )

    def _port(self) -> str:
        server = self.node.server
        shown = server.serving.shown
        connections = [({"admitted": word}, server.count(admitted=word == "true")) for word in ("true", "false")]
        return (
            family("interlink_vk_port_connections", "gauge", "Connections to this port.", connections)
            + self.node.routes.requests.text()
            + family(
                "interlink_vk_certificate_expiry_timestamp_seconds",
                "gauge",
                "When the certificate of this port ends.",
                [({"source": shown.source}, shown.not_after)],
            )
        )

    def _process(self) -> str:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        seconds = usage.ru_utime + usage.ru_stime
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        descriptors = len(list(Path("/proc/self/fd").iterdir()))
        return (
            self.node.shared.meter.text()
            + family("interlink_vk_build_info", "gauge", "Its version.", [({"version": VERSION}, 1)])
            + family("process_cpu_seconds_total", "counter", "CPU time of the process.", [({}, seconds)])
            + gauge("process_resident_memory_bytes", "Its memory.", pages * os.sysconf("SC_PAGE_SIZE"))
            + gauge("process_open_fds", "Its open file descriptors.", descriptors)
            + gauge("process_start_time_seconds", "When it started, in epoch seconds.", started())
        )


def started() -> float:
    """Return when this process started, in epoch seconds."""
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    since_boot = int(fields[_START_FIELD - 2]) / os.sysconf("SC_CLK_TCK")
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + since_boot
