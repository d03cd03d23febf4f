"""A way out of a node that has no route: a SOCKS proxy by ssh through the login node, for as long as the pod runs.

Stepped by ``pod.py``'s loop. Containers start once the proxy answers, and keep its port from then on: where ssh dies it
is started again at the same one. A program that is linked dynamically gets there by tsocks (LD_PRELOAD), one that knows
proxies by ALL_PROXY; what a container sets itself of these variables counts.
"""

import ipaddress
import os
import socket
import subprocess
from typing import Any, Dict, Iterable, List, Optional, Tuple

from interlink.runner.files import words, write_whole
from interlink.runner.guard import Guard
from interlink.runner.processes import die_with_parent, kill_session
from interlink.runner.runtimes import Bind

HERE = "127.0.0.1"
#: SOCKS 5 (RFC 1928): "I need no authentication", and the answer that none is needed.
HELLO, WELCOME = b"\x05\x01\x00", b"\x05\x00"
#: How long the proxy, which is on this node, may take to say so, in seconds.
ANSWER = 0.5
#: Pauses between two starts of ssh, in seconds.
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
#: ssh takes the first value that it finds: these cannot be changed by the site's own options, the others can.
ALWAYS = ("-o", "ExitOnForwardFailure=yes", "-o", "BatchMode=yes", "-o", "ControlPath=none")
DEFAULTS = (
    "-o", "StrictHostKeyChecking=yes", "-o", "ConnectTimeout=15", "-o", "ServerAliveInterval=15",
    "-o", "ServerAliveCountMax=3",
)  # fmt: skip


class Egress:
    """The pod's proxy, or nothing where its plan has none."""

    def __init__(self, plan: Dict[str, Any], guard: Guard) -> None:
        self.plan, self.guard = plan.get("egress"), guard
        self.log = os.path.join(plan["folder"], "egress.log")
        self.configuration = os.path.join(plan["folder"], "tsocks.conf")
        self.ssh: "Optional[subprocess.Popen[bytes]]" = None
        self.port, self.due, self.pause = 0, 0.0, FIRST_PAUSE
        #: The proxy has answered once: containers know its port.
        self.settled = self.plan is None
        self.fault = ""

    def step(self, clock: float) -> None:
        """Do what is due: start ssh, see whether it answers, start it again."""
        if self.plan is None:
            return
        if self.ssh is None:
            if clock >= self.due:
                self._start(clock)
        elif self.ssh.poll() is not None:
            self._ended(clock)
        elif not self.settled and self._answers():
            self._settle()

    def waiting(self) -> Optional[Dict[str, str]]:
        """Return what containers wait for while there is no way out, None once there is."""
        if self.settled or self.plan is None:
            return None
        message = "waiting for the way out through {}".format(self.plan["loginNode"])
        return {"message": ": ".join(filter(None, [message, self.fault]))}

    def binds(self) -> List[Bind]:
        """Return what containers must see of it: the library and its configuration, at the paths of the host."""
        if self.plan is None or not self.plan.get("library"):
            return []
        paths = (self.plan["library"], self.configuration)
        return [Bind(path, path, read_only=True) for path in paths]

    def variables(self, own: Iterable[Tuple[str, str]]) -> List[Tuple[str, str]]:
        """Return a container's variables with those of the proxy before them, where it does not set them itself."""
        pairs = [(name, value) for name, value in own]
        if self.plan is None:
            return pairs
        proxy = "socks5h://{}:{}".format(HERE, self.port)
        direct = ",".join(["localhost", HERE, "::1", *self.plan.get("localNetworks", ())])
        ours = [("ALL_PROXY", proxy), ("all_proxy", proxy), ("NO_PROXY", direct), ("no_proxy", direct)]
        if self.plan.get("library"):
            ours += [("LD_PRELOAD", self.plan["library"]), ("TSOCKS_CONF_FILE", self.configuration)]
        names = {name for name, _ in pairs}
        return [(name, value) for name, value in ours if name not in names] + pairs

    def stop(self) -> None:
        """End the proxy with the pod."""
        if self.ssh is not None:
            kill_session(self.ssh.pid)
            self.ssh.wait()
            self.guard.tell(self.ssh.pid, alive=False)
            self.ssh = None

    def _start(self, clock: float) -> None:
        assert self.plan is not None
        if not self.settled:
            self.port = _free_port()  # another may take it before ssh does: then the next one is tried
        command = [self.plan.get("ssh") or "ssh", *ALWAYS, *self.plan.get("sshOptions", ()), *DEFAULTS,
                   "-N", "-T", "-D", "{}:{}".format(HERE, self.port), "--", self.plan["loginNode"]]  # fmt: skip
        try:
            with open(os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as log:
                self.ssh = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                    preexec_fn=die_with_parent,
                )  # fmt: skip
        except OSError as error:
            self._retry(clock, words(error))
        else:
            self.guard.tell(self.ssh.pid, alive=True)

    def _ended(self, clock: float) -> None:
        assert self.ssh is not None
        self.guard.tell(self.ssh.pid, alive=False)
        status, self.ssh = self.ssh.returncode, None
        with open(self.log, "rb") as log:
            said = log.read()[-4096:].decode("utf-8", "replace").strip().splitlines()
        self._retry(clock, said[-1] if said else "ssh ended with status {}".format(status))

    def _retry(self, clock: float, fault: str) -> None:
        self.fault = fault
        self.due, self.pause = clock + self.pause, min(self.pause * 2, LONGEST_PAUSE)

    def _answers(self) -> bool:
        """Return whether the proxy speaks SOCKS; ssh listens only once it is connected and allowed to forward."""
        try:
            with socket.create_connection((HERE, self.port), ANSWER) as connection:
                connection.sendall(HELLO)
                return connection.recv(len(WELCOME)) == WELCOME
        except OSError:
            return False

    def _settle(self) -> None:
        assert self.plan is not None
        lines = ["local = 127.0.0.0/255.0.0.0"]
        for text in self.plan.get("localNetworks", ()):
            network = ipaddress.ip_network(text)
            if network.version == 4:  # tsocks knows no other
                lines.append("local = {}/{}".format(network.network_address, network.netmask))
        lines += ["server = " + HERE, "server_type = 5", "server_port = {}".format(self.port), ""]
        write_whole(self.configuration, "\n".join(lines).encode("ascii"))
        self.settled, self.fault, self.pause = True, "", FIRST_PAUSE


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HERE, 0))
        return int(probe.getsockname()[1])
