#!/bin/bash
# Entry of the cluster's host: makes the container a place where kubelet and containerd run, then starts the supervisor.
set -euo pipefail

if [[ -e /sys/fs/cgroup/cgroup.controllers ]]; then
    # cgroup v2: processes live in leaves only, so the root's own move out of the way before controllers are handed down
    mount -o remount,rw /sys/fs/cgroup
    mkdir -p /sys/fs/cgroup/testbed
    while read -r pid; do
        echo "$pid" > /sys/fs/cgroup/testbed/cgroup.procs || true # it may have ended meanwhile
    done < /sys/fs/cgroup/cgroup.procs
    sed 's/\(^\| \)/ +/g' /sys/fs/cgroup/cgroup.controllers > /sys/fs/cgroup/cgroup.subtree_control
else
    for controller in /sys/fs/cgroup/*; do
        mount -o remount,bind,rw "$controller"
    done
fi
mount --make-rshared /
ln -sf /dev/null /dev/kmsg
mkdir -p /var/log/testbed /var/lib/etcd /etc/cni/net.d /etc/containerd/certs.d
chmod 700 /var/lib/etcd
exec "$@"
