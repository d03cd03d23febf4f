#!/bin/bash
# Entry of a site host: puts the bed's configuration (/etc/testbed, mounted) in place and then becomes systemd.
# TESTBED_ROLES says what the host plays: edge, slurmctld, slurmdbd, slurmd. TESTBED_OUTSIDE is an address beyond the
# site. TESTBED_SERVICE is "NAME UID" of the user that the edge host's services and the jobs run as.
set -euo pipefail

plays() { [[ " $TESTBED_ROLES " == *" $1 "* ]]; }

umount -R /sys/fs/cgroup
mount -t cgroup2 none /sys/fs/cgroup
chmod 666 /dev/fuse

# The registry's certificate is signed by the bed's authority: the whole host trusts it, jobs need nothing of their own.
cat /etc/ssl/certs/testbed-ca-bundle.crt /etc/testbed/ca.crt > /etc/ssl/certs/ca-certificates.crt

[[ -e /etc/ssh/ssh_host_ed25519_key ]] || ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/ssh_host_ed25519_key
install -d -m 700 /root/.ssh
install -m 600 /etc/testbed/authorized_keys /root/.ssh/authorized_keys

install -d -m 755 /etc/slurm
install -m 644 /etc/testbed/slurm.conf /etc/testbed/gres.conf /etc/testbed/cgroup.conf /etc/slurm/
install -d -m 700 -o munge -g munge /etc/munge
install -m 400 -o munge -g munge /etc/testbed/munge.key /etc/munge/munge.key
install -d -m 755 -o slurm -g slurm /var/lib/slurm /var/lib/slurm/slurmctld /var/log/slurm
install -d -m 755 /var/lib/slurm/slurmd /var/lib/slurm/gpus
touch /var/lib/slurm/gpus/{0..7}

if plays edge; then
    ip address replace "$TESTBED_OUTSIDE/24" dev lo
else
    # Compute nodes reach their neighbours and nothing else.
    while ip route delete default 2>/dev/null; do :; done
    read -r name uid <<< "$TESTBED_SERVICE"
    id "$name" >/dev/null 2>&1 || useradd --create-home --uid "$uid" --user-group --shell /bin/bash "$name"
fi

units=(munge ssh)
plays slurmctld && units+=(slurmctld)
plays slurmd && units+=(slurmd)
if plays slurmdbd; then
    install -m 600 -o slurm -g slurm /etc/testbed/slurmdbd.conf /etc/slurm/
    units+=(mariadb slurmdbd)
fi
systemctl --quiet enable "${units[@]}"
exec env -i container=docker PATH="$PATH" /sbin/init
