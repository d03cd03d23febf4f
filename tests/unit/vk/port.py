"""A client of the kubelet port, as kube-apiserver is one."""

import ssl
from typing import Any

import aiohttp

LOGS = "/containerLogs/default/p/c"
World = Any  # of conftest.py


class Client:
    """Asks at the port of a running virtual kubelet, as kube-apiserver does."""

    def __init__(self, world: World, kubelet: Any, uid: str) -> None:
        self.world = world
        self.kubelet = kubelet
        self.uid = uid
        self.base = f"https://127.0.0.1:{kubelet.server.port}"
        self.context = ssl.create_default_context()
        self.context.check_hostname = False
        self.context.verify_mode = ssl.CERT_NONE

    async def ask(self, path: str, token: str = "admin", method: str = "GET") -> tuple[int, str]:
        async with aiohttp.ClientSession() as session:
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            async with session.request(method, self.base + path, ssl=self.context, headers=headers) as response:
                return response.status, await response.text()
