"""``make bench-vk``: runs the tree's virtual kubelet, API and mock plugin against the bed's kube-apiserver.

``python -m benchmarks.vk [PART…] [--kubeconfig FILE --address IP] [--scale SHARE]``: some parts alone, another
kube-apiserver, or fewer pods. Figures of some parts take their place among the others in the results.
"""

import argparse
import asyncio
import sys
import tempfile
import uuid
from dataclasses import replace
from pathlib import Path

import yaml

from benchmarks.figures import RESULTS, CannotMeasureError, Figure, table, write
from benchmarks.vk.cluster import Cluster
from benchmarks.vk.measure import Measure, Sizes, say
from benchmarks.vk.stack import Stack
from interlink.vk.apiserver.access import from_kubeconfig
from interlink.vk.apiserver.client import ApiServer
from interlink.vk.apiserver.errors import ApiError
from tests.testbed.bed import Bed
from tests.testbed.errors import TestbedError

PARTS = ("single", "burst", "rate", "logs", "many")


def main() -> int:
    """Run the benchmark; return the exit status."""
    options = _options()
    try:
        if options.kubeconfig:
            kubeconfig, address = options.kubeconfig, options.address
        else:
            bed = Bed()
            kubeconfig, address = bed.kubeconfig, bed.network.gateway
        figures = asyncio.run(run(kubeconfig, address, options.parts or list(PARTS), _sizes(options.scale)))
    except (CannotMeasureError, TestbedError, ApiError, OSError) as error:
        print(f"bench-vk cannot measure: {error}", file=sys.stderr)
        return 1
    print(table(figures))
    if options.scale == 1.0:
        print(f"\nwritten to {write(figures, 'vk', whole=not options.parts).relative_to(RESULTS.parents[1])}")
    return 0


async def run(kubeconfig: Path, address: str, parts: list[str], sizes: Sizes) -> list[Figure]:
    """Bring up the three services, measure, and remove all of it. Raises CannotMeasureError, ApiError."""
    node = f"bench-vk-{uuid.uuid4().hex[:8]}"
    figures = []
    with tempfile.TemporaryDirectory(prefix="interlink-bench-vk-") as name:
        async with ApiServer(from_kubeconfig(kubeconfig), timeout=120) as administrator:
            cluster = Cluster(administrator, node)
            await cluster.prepare()
            own = _with_token(kubeconfig, await cluster.token(), Path(name))
            stack, access = Stack(Path(name), own, node, address), from_kubeconfig(own)
            try:
                stack.start()
                await asyncio.to_thread(stack.wait_for_list, 1, 60)
                async with ApiServer(access, timeout=120) as api:
                    cluster.api = api
                    async for figure in Measure(cluster, stack, access, sizes).figures(parts):
                        say(f"{figure.figure}: {figure.measured:.4g} {figure.unit}")
                        figures.append(figure)
            finally:
                await asyncio.to_thread(stack.stop)
                cluster.api = administrator
                await cluster.remove()
    return figures


def _with_token(kubeconfig: Path, token: str, folder: Path) -> Path:
    """Write the kubeconfig once more, with this token in place of all credentials."""
    document = yaml.safe_load(kubeconfig.read_text())
    document["users"] = [{"name": user["name"], "user": {"token": token}} for user in document["users"]]
    file = folder / "kubeconfig"
    file.touch(0o600)
    file.write_text(yaml.safe_dump(document))
    return file


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.vk", description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--kubeconfig", type=Path, help="another kube-apiserver than the bed's")
    parser.add_argument("--address", default="127.0.0.1", help="where that one finds the virtual kubelet")
    parser.add_argument("--scale", type=float, default=1.0, help="how many pods, as a share; no results are written")
    return parser.parse_args()


def _sizes(scale: float) -> Sizes:
    whole = Sizes()
    counts = {
        name: max(1, int(getattr(whole, name) * scale)) for name in ("single", "burst", "round", "followers", "many")
    }
    return replace(whole, **counts, idle_seconds=max(6.0, whole.idle_seconds * min(1.0, scale)))


if __name__ == "__main__":
    sys.exit(main())
