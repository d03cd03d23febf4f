"""``interlink doctor``: which ways to Slurm fit this site and why not the others, and whether pods can run here."""

import argparse
import json
import logging
import shutil
import textwrap
from collections.abc import Sequence
from typing import Any

from interlink.config import load_config

EPILOG = """\
Run it on the edge host as the service's user, with the service's configuration:

  sudo -u interlink interlink doctor
  sudo -u interlink interlink doctor --submit        # and look at a compute node, by a tiny job
  interlink doctor -o json | jq '.checks[] | select(.verdict != "good")'

SlurmDriver in the configuration names the way to Slurm: pyslurm is the fastest and needs Slurm
25.11 or 26.05 on this host; cli needs Slurm's commands on this host; ssh needs neither, but a login
node. The checks say which of them would work here. Keys, tokens and file contents are never shown.

Exit status: 0 all that pods need is there, 1 something is missing, 2 the configuration is wrong.
"""
_WIDEST = 120


def add_commands(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add ``doctor``."""
    parser = commands.add_parser(
        "doctor",
        parents=[common],
        help="say which ways to Slurm fit this site, and what is missing",
        description="Look at the site as the Slurm sidecar would, and say what to do where pods could not run.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--submit", action="store_true", help="run a tiny job that looks at a compute node")
    parser.add_argument(
        "--as", dest="users", action="append", default=[], metavar="USER", help="a user that jobs shall belong to"
    )
    parser.add_argument("-o", "--output", choices=("table", "json"), default="table", help="form of the answer")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the checks and print what they found."""
    from interlink.sidecars.slurm.doctor import check, compute, drivers, places  # noqa: PLC0415
    from interlink.sidecars.slurm.drivers.choice import choose_driver, site_hosts  # noqa: PLC0415

    config = load_config(options.config)
    checks = (
        drivers.Pyslurm(), drivers.LocalCommands(), drivers.LoginNode(), drivers.LoginCommands(), drivers.Controller(),
        drivers.Accounting(), places.SharedFolder(), places.StateFolder(), places.BecomeUser(), compute.ComputeNode(),
    )  # fmt: skip
    logging.disable(logging.CRITICAL)  # the findings say it all
    try:
        hosts = site_hosts(config)
        driver = choose_driver(config, hosts)
        site = check.Site(config, hosts, driver, submit=options.submit, users=tuple(options.users))
        try:
            results = list(check.run_checks(checks, site))
        finally:
            driver.close()
            hosts.close()
    finally:
        logging.disable(logging.NOTSET)
    rows = [as_row(result, config.slurm_driver) for result in results]
    print(as_json(rows, config.slurm_driver) if options.output == "json" else as_table(rows, config.slurm_driver))
    return 1 if any(row["needed"] and row["verdict"] == "bad" for row in rows) else 0


def as_row(result: Any, configured: str) -> dict[str, Any]:
    """Return a result as what is printed; a check of another driver than the configured one stops nobody."""
    check, finding = result.check, result.finding
    return {
        "name": check.name,
        "driver": check.driver,
        "needed": check.needed and check.driver in ("", configured),
        "verdict": finding.verdict.value,
        "milliseconds": round(result.seconds * 1000),
        "said": finding.said,
        "todo": finding.todo,
    }


def as_json(rows: Sequence[dict[str, Any]], configured: str) -> str:
    """Return the answer for programs."""
    good = not any(row["needed"] and row["verdict"] == "bad" for row in rows)
    return json.dumps({"good": good, "driver": configured, "drivers": fits(rows), "checks": list(rows)}, indent=2)


def as_table(rows: Sequence[dict[str, Any]], configured: str) -> str:
    """Return the answer for a terminal."""
    width = min(shutil.get_terminal_size((100, 24)).columns, _WIDEST)
    name_width = max(len(row["name"]) for row in rows)
    head = name_width + 17
    lines = [f"{'CHECK':<{name_width}}  VERDICT  {'MS':>5}  FOUND"]
    for row in rows:
        verdict = row["verdict"] if row["needed"] or row["verdict"] != "bad" else "no"
        first = f"{row['name']:<{name_width}}  {verdict:<7}  {row['milliseconds']:>5}  "
        lines += wrapped(first, row["said"], head + 1, width)
        if row["todo"]:
            lines += wrapped(" " * (head + 1), f"→ {row['todo']}", head + 3, width)
    lines.append("")
    for driver, why in fits(rows).items():
        mark = " (configured)" if driver == configured else ""
        lines += wrapped(f"SlurmDriver {driver}{mark}: ", why or "fits", 4, width)
    stopped = [row["name"] for row in rows if row["needed"] and row["verdict"] == "bad"]
    lines.append(f"Pods cannot run until this is put right: {', '.join(stopped)}." if stopped else "Pods can run here.")
    return "\n".join(lines)


def fits(rows: Sequence[dict[str, Any]]) -> dict[str, str]:
    """Return why each driver does not fit; "" for one that does."""
    found: dict[str, str] = {}
    for driver in ("pyslurm", "cli", "ssh"):
        own = [row for row in rows if row["driver"] == driver]
        wrong = [row["said"] for row in own if row["verdict"] == "bad"]
        found[driver] = "; ".join(dict.fromkeys(wrong)) if own else "no SshHost is configured"
    return found


def wrapped(first: str, text: str, indent: int, width: int) -> list[str]:
    """Return the text after its first words, as lines that fit."""
    return textwrap.wrap(
        text, max(width, indent + 20), initial_indent=first, subsequent_indent=" " * indent, break_on_hyphens=False
    ) or [first]
