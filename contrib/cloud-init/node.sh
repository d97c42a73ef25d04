#!/bin/sh
# First boot of a server of a fleet: turns a plain Debian 12 into a node of the cluster. Give it to SHADOW_EC2_USER_DATA, with the lines of the
# first part as they are for you. cloud-init runs it once, as root; it logs to /var/log/shadow-first-boot.log.
set -eu

# Where the tarball of contrib/cloud-init/make-tarball is, and its SHA-256.
TARBALL=https://example.com/shadow.tar.gz
SHA256=0000000000000000000000000000000000000000000000000000000000000000
# Settings of the nodeproxy, one a line, such as SHADOW_EBS=production, SHADOW_VOLUME_SLOTS=24, SHADOW_SPOT=on, SHADOW_POOL=/mnt/pool.
SETTINGS=''

# The front puts these in for each server. The token is good for one machine, once.
TOKEN='@SHADOW_JOIN_TOKEN@'
NODE='@SHADOW_NODE@'

exec >>/var/log/shadow-first-boot.log 2>&1
echo "first boot of $NODE"
export DEBIAN_FRONTEND=noninteractive

# The network may come up a little later than this.
again() {
  for pause in 1 2 4 8 16 30 30 30; do
    "$@" && return 0
    sleep "$pause"
  done
  "$@"
}

again apt-get update
again apt-get install -y --no-install-recommends docker.io ca-certificates curl e2fsprogs mount iproute2 iptables
# On a kernel with AppArmor, Docker starts no container without the AppArmor parser.
if [ "$(cat /sys/module/apparmor/parameters/enabled 2>/dev/null)" = Y ]; then
  again apt-get install -y --no-install-recommends apparmor
fi

again curl --fail --silent --show-error --location --max-time 600 --output /tmp/shadow.tar.gz "$TARBALL"
echo "$SHA256  /tmp/shadow.tar.gz" | sha256sum --check --quiet
mkdir -p /opt/shadow
tar -C /opt/shadow --strip-components=1 -xzf /tmp/shadow.tar.gz
rm /tmp/shadow.tar.gz

umask 077
printf '%s\n' "$SETTINGS" >/etc/default/shadow-nodeproxy
# Not as an argument, which other users of the machine could see. A join that got no answer may be repeated.
export SHADOW_JOIN_TOKEN="$TOKEN"
[ -e /var/lib/shadow/node/member.json ] || again /opt/shadow/bin/shadow node join

cp /opt/shadow/contrib/systemd/shadow-nodeproxy.service /etc/systemd/system/
chmod 644 /etc/systemd/system/shadow-nodeproxy.service
systemctl daemon-reload
systemctl enable --now docker shadow-nodeproxy
echo "$NODE has joined"
