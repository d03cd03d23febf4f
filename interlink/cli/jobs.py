"""``interlink jobs``: the living jobs of pods on this site, and the way to end them before the site is taken down."""

import argparse
import dataclasses
import json
import logging
import sys
from collections.abc import Sequence
from typing import Any

from interlink.config import load_config

EPILOG = """\
Run it on the edge host as the service's user, with the service's configuration:

  sudo -u interlink interlink jobs
  sudo -u interlink interlink jobs --cancel     # ends them all; their pods fail

The jobs of all users of the site are shown whose pods came here (docs/identity.md). Delete the pods
with kubectl instead of this where the cluster can still be reached.

Exit status: 0 done, 1 Slurm or a user's folders cannot be reached, or a job did not end in time,
2 the configuration is wrong.
"""
#: How long cancelled jobs may take to end: Slurm's KillWait, and a node that is slow to say so.
_END_SECONDS = 90.0


def add_commands(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add ``jobs``."""
    parser = commands.add_parser(
        "jobs",
        parents=[common],
        help="show the living jobs of pods, or end them",
        description="Show the Slurm jobs of pods that have not ended, or end them.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--cancel", action="store_true", help="end them, and wait until they have ended")
    parser.add_argument("-o", "--output", choices=("table", "json"), default="table", help="form of the answer")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Show or end the jobs; what is printed are those that still live."""
    from interlink.sidecars.slurm.driver import SlurmRefused, SlurmUnavailable  # noqa: PLC0415
    from interlink.sidecars.slurm.drivers.choice import choose_driver, site_hosts  # noqa: PLC0415
    from interlink.sidecars.slurm.folders import JobFolders  # noqa: PLC0415
    from interlink.sidecars.slurm.pod_jobs import end_jobs, pod_jobs  # noqa: PLC0415

    config = load_config(options.config)
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    hosts = site_hosts(config)
    try:
        folders = JobFolders(config.data_root_folder, hosts.files(), host_of=hosts.files)
        driver = choose_driver(config, hosts, folders.users)
        try:
            jobs = pod_jobs(folders, driver)
            if options.cancel:
                jobs = end_jobs(jobs, driver, _END_SECONDS)
        finally:
            driver.close()
    except (OSError, SlurmRefused, SlurmUnavailable) as error:
        print(f"interlink: whether jobs of pods live is not known: {error}", file=sys.stderr)
        return 1
    finally:
        hosts.close()
    rows = [dataclasses.asdict(job) for job in jobs]
    print(json.dumps(rows, indent=2) if options.output == "json" else as_table(rows))
    return 1 if options.cancel and jobs else 0


def as_table(rows: Sequence[dict[str, Any]]) -> str:
    """Return the jobs for a terminal."""
    if not rows:
        return "No job of a pod lives."
    lines = [("JOB", "STATE", "USER", "POD")]
    lines += [(str(row["job_id"]), row["state"], row["user"] or "-", row["pod"] or row["uid"]) for row in rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    padded = ("  ".join(f"{word:<{width}}" for word, width in zip(line, widths, strict=True)) for line in lines)
    return "\n".join(line.rstrip() for line in padded)
