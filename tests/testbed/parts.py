"""The declaration of the bed: every part, what brings it up, what says that it is there, and what it needs."""

from __future__ import annotations

from functools import partial

from . import cluster, dockerd, images, inventory, kubernetes, machine, network, pki, registry, site, slurm
from .layout import Layout
from .part import Part


def _image(name: str, what: str, *needs: str) -> Part:
    return Part(
        f"image-{name}", what, ("machine", "docker", *needs),
        up=partial(images.up, name=name), health=partial(images.health, name=name),
    )  # fmt: skip


def parts(layout: Layout) -> list[Part]:
    """Return all parts of a bed with this layout; the longest to come up first."""
    hosts = tuple(host.name for host in layout.site)
    journal = layout.site_host("slurmctld").container
    return [
        Part("kubernetes", "building the Kubernetes servers", ("machine",), kubernetes.up, kubernetes.health),
        Part("machine", "Debian packages on this machine", (), machine.up, machine.health),
        Part("docker", "a Docker daemon", ("machine",), dockerd.up, dockerd.health, log_files=("dockerd.log",)),
        Part("network", "the bed's network", ("docker",), network.up, network.health),
        Part("pki", "certificates", ("network",), pki.up, pki.health),
        _image("base", "Debian sid with Python"),
        _image("site", "Slurm, sshd and apptainer on Debian", "image-base"),
        _image("cluster", "etcd and containerd on Debian", "image-base"),
        *(_image(name, "a static busybox") for name in images.BUSYBOXES),
        _image("mpi", "an MPI program for pods", "image-site", "image-busybox"),
        _image("python", "Python for pods", "image-base", "image-busybox"),
        Part(
            "registry", "the image registry", ("image-busybox", "image-pause", "pki"), registry.up, registry.health,
            log_files=("docker-registry.log",),
        ),
        Part(
            "registry-later", "the MPI program and Python in the registry", ("image-mpi", "image-python", "registry"),
            registry.later_up, registry.later_health,
        ),
        Part("site", "keys and settings of the site", ("pki",), site.write_settings, site.settings_health),
        *(
            Part(
                host.name, f"the site's host {host.name}", ("image-site", "site", "network"),
                up=partial(site.host_up, member=host), health=partial(site.host_health, member=host),
                journal_of=host.container,
            )
            for host in layout.site
        ),
        Part("slurm", "Slurm takes jobs", hosts, slurm.up, slurm.health, journal_of=journal),
        Part(
            "accounting", "slurmdbd's account and users", ("slurm",), slurm.accounting_up, slurm.accounting_health,
            journal_of=layout.site_host("slurmdbd").container,
        ),
        Part(
            "apptainer", "a user's container from the registry", ("slurm", "registry"),
            site.apptainer_up, site.apptainer_health, journal_of=journal,
        ),
        Part("kubectl", "kubectl for this machine", ("image-cluster",), cluster.kubectl_up, cluster.kubectl_health),
        Part(
            layout.cluster.name, "etcd, the Kubernetes servers, containerd and a node",
            ("kubernetes", "image-cluster", "kubectl", "pki", "registry"), cluster.up, cluster.health,
            log_files=(f"{layout.cluster.name}/*.log",), journal_of=layout.cluster.container,
        ),
        Part("inventory", "the Ansible inventory", (*hosts, "image-base", "pki"), inventory.up, inventory.health),
    ]  # fmt: skip
