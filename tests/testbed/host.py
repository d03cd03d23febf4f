"""Containers that play hosts: created, started again or replaced, whichever state they are found in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .errors import CommandError, UnhealthyError
from .fingerprint import fingerprint
from .layout import LABEL, NETWORK, Host

if TYPE_CHECKING:
    from .bed import Bed
    from .part import Step

CONFIG_LABEL = f"{LABEL}.config"
# --privileged would ask for CAP_SYS_RESOURCE, which a machine may not have.
CAPABILITIES = (
    "--cap-add=ALL", "--cap-drop=SYS_RESOURCE", "--security-opt=seccomp=unconfined",
    "--security-opt=apparmor=unconfined", "--security-opt=systempaths=unconfined", "--cgroupns=private",
    "--tmpfs=/run", "--tmpfs=/tmp:exec",
)  # fmt: skip


@dataclass(frozen=True)
class Container:
    """What a host's container is made of."""

    host: Host
    image: str
    options: tuple[str, ...]
    inputs: str
    """A fingerprint of the files it reads when it starts: a change makes a new container."""
    volumes: tuple[str, ...] = ()
    """Folders whose content outlives the container, as long as it can be brought up with them."""

    def volume(self, folder: str) -> str:
        """Return the name of the volume for a folder."""
        return f"{self.host.container}{folder.replace('/', '-')}"

    def command(self, address: str, peers: dict[str, str]) -> list[str]:
        """Return the words after `docker run`."""
        volumes = [f"--volume={self.volume(folder)}:{folder}" for folder in self.volumes]
        names = [f"--add-host={name}:{peer}" for name, peer in peers.items()]
        return [
            "--detach", "--name", self.host.container, "--hostname", self.host.name, "--network", NETWORK,
            "--ip", address, "--label", LABEL, *CAPABILITIES, *volumes, *names, *self.options, self.image,
        ]  # fmt: skip


def _config(bed: Bed, container: Container) -> tuple[list[str], str]:
    network = bed.network
    peers = {host.name: network.address(host) for host in bed.layout.site}
    command = container.command(network.address(container.host), peers)
    return command, fingerprint(*command, container.inputs)


def health(bed: Bed, container: Container) -> None:
    """Raise UnhealthyError unless the container runs with the configuration that this tree gives it."""
    name = container.host.container
    known = bed.docker.inspect("container", name)
    if known is None:
        raise UnhealthyError(f"there is no container {name}")
    if known["Config"]["Labels"].get(CONFIG_LABEL) != _config(bed, container)[1]:
        raise UnhealthyError(f"the container {name} was made from another configuration")
    if not known["State"]["Running"]:
        raise UnhealthyError(
            f"the container {name} is {known['State']['Status']}: {known['State']['Error'] or 'no error'}"
        )


def ensure(bed: Bed, step: Step, container: Container, check: Callable[[], str], within: float) -> None:
    """Bring the container up until its check is content.

    What is there is kept if it comes up in `within` seconds, else the container is replaced, and at last its volumes.
    """
    attempts = (_keep, _replace, _replace_all) if _is_there(bed, container) else (_replace_all,)
    for number, attempt in enumerate(attempts, 1):
        try:
            attempt(bed, step, container)
            step.wait(check, within)
        except (CommandError, UnhealthyError) as error:
            if number == len(attempts):
                raise
            step.say(f"{container.host.container} did not come back: {error}")
        else:
            return


def _is_there(bed: Bed, container: Container) -> bool:
    volumes = (container.volume(folder) for folder in container.volumes)
    return bed.docker.inspect("container", container.host.container) is not None or any(
        bed.docker.inspect("volume", volume) is not None for volume in volumes
    )


def _keep(bed: Bed, step: Step, container: Container) -> None:
    known = bed.docker.inspect("container", container.host.container)
    same = known is not None and known["Config"]["Labels"].get(CONFIG_LABEL) == _config(bed, container)[1]
    if known is None or not same:
        _replace(bed, step, container)
    elif not known["State"]["Running"]:
        step.say(f"starting {container.host.container} again")
        bed.docker("container", "start", container.host.container)


def _replace(bed: Bed, step: Step, container: Container) -> None:
    bed.docker.remove_container(container.host.container)
    for folder in container.volumes:
        volume = container.volume(folder)
        if bed.docker.inspect("volume", volume) is None:
            bed.docker("volume", "create", "--label", LABEL, volume)
    command, config = _config(bed, container)
    step.say(f"creating {container.host.container} from {container.image}")
    bed.docker("run", "--label", f"{CONFIG_LABEL}={config}", *command)


def _replace_all(bed: Bed, step: Step, container: Container) -> None:
    bed.docker.remove_container(container.host.container)
    for folder in container.volumes:
        if bed.docker.inspect("volume", container.volume(folder)) is not None:
            bed.docker("volume", "rm", "--force", container.volume(folder))
    _replace(bed, step, container)
