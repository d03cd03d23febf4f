"""A virtual kubelet of a test's own: a node of its own in the real cluster, the deployed edge, and a clock to turn."""

import asyncio
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from interlink.config import Config
from interlink.vk.apiserver.access import from_kubeconfig
from interlink.vk.main import VirtualKubelet
from tests.e2e.slurm import Slurm
from tests.testbed.bed import Bed


async def drop_connections() -> None:
    """Drop what a TLS goodbye still keeps open: a loop that ends before it has come leaves sockets to the collector."""
    for transport in list(vars(asyncio.get_running_loop())["_transports"].values()):
        transport.abort()
    await asyncio.sleep(0)


class OwnKubelet:
    """One virtual kubelet in a thread; ``ahead`` is how many seconds its clock is ahead of the real one.

    It follows its ``config``, which a test may replace while it runs.
    """

    def __init__(self, bed: Bed, folder: Path, **settings: Any) -> None:
        self.bed = bed
        self.node = f"e2e-{uuid.uuid4().hex[:8]}"
        self.ahead = 0.0
        token = folder / "token"
        token.touch(0o600)
        lines = bed.site(["cat", "/etc/interlink/vk-tokens"]).splitlines()
        token.write_text(next(line for line in lines if line and not line.startswith("#")))
        self.config = Config(
            interlink_url=f"http://{bed.edge_address}",
            vk_token_file=token,
            node_name=self.node,
            kubelet_port=0,
            kubeconfig=bed.kubeconfig,
            **{"vkubelet_pod_ip": "127.0.0.1", **settings},
        )

    def change(self, **settings: Any) -> None:
        """Change the configuration."""
        self.config = replace(self.config, **settings)

    def remove_node(self) -> None:
        """Remove its nodes with their certificate requests, their pods and the jobs of these, which nobody follows."""
        names = list(self.config.nodes) or [self.node]
        ask = ["get", "pods", "--all-namespaces", "-o", "jsonpath={.items[*].metadata.uid}"]
        pods = {
            uid for name in names for uid in self.bed.kubectl(*ask, f"--field-selector=spec.nodeName={name}").split()
        }
        self.bed.kubectl("delete", "node,csr", *names, "--ignore-not-found")
        slurm = Slurm(self.bed)
        living = [str(job) for uid in pods for job in slurm.living(uid)]
        if living:
            self.bed.site(["scancel", *living])

    @contextmanager
    def running(self) -> Iterator["OwnKubelet"]:
        """Run it for the time of the block, as often as a test wants; raises what it died of."""
        loop, stop, died = asyncio.new_event_loop(), asyncio.Event(), list[BaseException]()

        async def run() -> None:
            assert self.config.kubeconfig
            access = from_kubeconfig(self.config.kubeconfig)
            clock, load = (lambda: time.time() + self.ahead), (lambda: self.config)
            async with VirtualKubelet(self.config, access, clock, load=load) as kubelet:
                await kubelet.run(stop)
            await drop_connections()

        def body() -> None:
            try:
                loop.run_until_complete(run())
            except BaseException as error:
                died.append(error)
            finally:
                loop.close()

        thread = threading.Thread(target=body)
        thread.start()
        try:
            yield self
        finally:
            if thread.is_alive():
                loop.call_soon_threadsafe(stop.set)
            thread.join(30)
        if died:
            raise died[0]
