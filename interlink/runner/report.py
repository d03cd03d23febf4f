"""Reports: the pod's whole status after each transition, into the job's folder and the site's spool folder."""

import json
import os
import socket
from typing import Any, Dict, Optional

from interlink.runner.files import as_utf8, read_json, say, write_whole
from interlink.runner.times import fractions, now

Json = Dict[str, Any]
VERSION = 2
REPORT_FILE = "report.json"


class Reporter:
    """Writes one pod's reports; a report that cannot be written stays pending and is tried again."""

    def __init__(self, plan: Dict[str, Any], job: str, restart: int) -> None:
        self.uid, self.job, self.restart = plan["uid"], job, restart
        self.own = os.path.join(plan["folder"], REPORT_FILE)
        self.spool = plan["spool"]
        #: The last report of this job's run before Slurm requeued it; empty in its first run.
        self.past = self._last_report()
        self.sequence = int(self.past.get("sequence", 0))
        self.pending: Optional[bytes] = None
        self.fault = ""
        self.last: Any = None
        self.host = socket.gethostname()
        self.address = address_of(self.host)

    def tell(self, what: Json) -> None:
        """Make the next report, if it says anything new; ``what`` is its part about the pod."""
        said = json.dumps(what, sort_keys=True)
        if said == self.last:
            return
        self.last = said
        self.sequence += 1
        report = {
            "version": VERSION, "uid": self.uid, "jobId": self.job, "sequence": self.sequence, "restart": self.restart,
            "time": fractions(now()), "hostName": self.host, "hostIp": self.address, **what,
        }  # fmt: skip
        self.pending = as_utf8(json.dumps(report, ensure_ascii=False))

    def write(self) -> None:
        """Write the pending report; a full disk is told once, and the report tried again at the next call."""
        if self.pending is None:
            return
        try:
            write_whole(self.own, self.pending)
            write_whole(
                os.path.join(self.spool, "{}.{}.{}.json".format(self.uid, self.job, self.sequence)), self.pending
            )
        except OSError as error:
            if str(error) != self.fault:
                say("the report cannot be written, and is tried again: {}".format(error))
            self.fault = str(error)
        else:
            self.pending, self.fault = None, ""

    def _last_report(self) -> Json:
        """Return what an earlier run of the same job said last; nothing where that cannot be read."""
        try:
            report = read_json(self.own)
            return dict(report) if report["jobId"] == self.job else {}
        except (OSError, ValueError, KeyError, TypeError):
            return {}


def address_of(host: str) -> str:
    """Return the host's address, empty where its own name resolves to loopback only or not at all."""
    try:
        address = socket.gethostbyname(host)
    except OSError:
        return ""
    return "" if address.startswith("127.") else address
