#!/bin/bash
# Entry of a site host: puts the bed's configuration (/etc/testbed, mounted) in place and then becomes systemd.
# TESTBED_ROLES says what the host plays: edge, slurmctld, slurmd.
set -euo pipefail

umount -R /sys/fs/cgroup
mount -t cgroup2 none /sys/fs/cgroup
chmod 666 /dev/fuse

# The registry's certificate is signed by the bed's authority: the whole host trusts it, jobs need nothing of their own.
cat /etc/ssl/certs/testbed-ca-bundle.crt /etc/testbed/ca.crt > /etc/ssl/certs/ca-certificates.crt

[[ -e /etc/ssh/ssh_host_ed25519_key ]] || ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/ssh_host_ed25519_key
install -d -m 700 /root/.ssh
install -m 600 /etc/testbed/authorized_keys /root/.ssh/authorized_keys

install -d -m 755 /etc/slurm
install -m 644 /etc/testbed/slurm.conf /etc/testbed/cgroup.conf /etc/slurm/
install -d -m 700 -o munge -g munge /etc/munge
install -m 400 -o munge -g munge /etc/testbed/munge.key /etc/munge/munge.key
install -d -m 755 -o slurm -g slurm /var/lib/slurm /var/lib/slurm/slurmctld /var/log/slurm
install -d -m 755 /var/lib/slurm/slurmd

systemctl --quiet enable munge ssh
for unit in slurmctld slurmd; do
    if [[ " $TESTBED_ROLES " == *" $unit "* ]]; then
        systemctl --quiet enable "$unit"
    fi
done
exec env -i container=docker PATH="$PATH" /sbin/init
