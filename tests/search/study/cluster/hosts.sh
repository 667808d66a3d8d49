#!/usr/bin/env bash
# Several machines on one, for as long as a command runs on the one that makes them:
#
#   unshare --mount --net --uts --ipc --pid --fork --kill-child --mount-proc hosts.sh KEEP VENV COMMAND HOST...
#
# Each HOST has its own address (10.79.0.1, ...), PIDs, /root, /tmp, /dev/shm and sshd; ~/l-ssat-search/.venv is VENV,
# so that `make setup` has nothing to do. KEEP are folders, with colons between them, that all see although they may lie
# below /root or /tmp. All of this lives in namespaces of one process: when it ends, however it ends, the kernel removes
# everything. No packet leaves, for the bridge is in there too.
set -euo pipefail

own_folders() { # empty /root, /tmp, /run and /dev/shm, but for KEEP and what /root/.ssh holds when it is called
  mount -t tmpfs -o size=1g tmpfs /mnt
  mkdir -p -m 700 /mnt/root/.ssh
  mkdir -m 1777 /mnt/tmp
  [ ! -e /root/.ssh/lan ] || cp -a /root/.ssh/. /mnt/root/.ssh/
  local folder folders
  IFS=: read -ra folders <<< "$keep"
  for folder in "${folders[@]}"; do
    case $folder in
      /root/* | /tmp/*) mkdir -p "/mnt$folder"; mount --rbind "$folder" "/mnt$folder" ;;
    esac
  done
  mount --rbind /mnt/root /root
  mount --rbind /mnt/tmp /tmp
  mount -t tmpfs tmpfs /run
  mount -t tmpfs tmpfs /dev/shm
}

make_host() { # NUMBER NAME
  ip netns add "$1"
  ip link add "v$1" type veth peer name eth0 netns "$1"
  ip link set "v$1" master br0 up
  ip -n "$1" link set lo up
  ip -n "$1" addr add "10.79.0.$1/24" dev eth0
  ip -n "$1" link set eth0 up
  ip -n "$1" route add default via 10.79.0.254 # without one Ray takes 127.0.0.1 for its own address
  ip netns exec "$1" unshare --mount --uts --ipc --pid --fork --kill-child --mount-proc \
    bash "$0" --host "$keep" "$venv" "10.79.0.$1" "$2" > "/root/$2.log" 2>&1 < /dev/null &
  for _ in $(seq 300); do
    grep -q 'Server listening' "/root/$2.log" && return
    sleep 0.1
  done
  cat "/root/$2.log"
  return 1
}

be_host() { # ADDRESS NAME: as the first process in its namespaces
  own_folders
  hostname "$2"
  mkdir -p /run/sshd ~/l-ssat-search/.venv
  cp /etc/skel/.bashrc /etc/skel/.profile ~/ 2> /dev/null || true
  ln -s "$venv"/* ~/l-ssat-search/.venv/
  touch ~/l-ssat-search/.venv/.ready
  exec /usr/sbin/sshd -D -e -f /dev/null -h ~/.ssh/lan \
    -o "ListenAddress=$1" -o PidFile=none -o UsePAM=no -o StrictModes=no
}

export HOME=/root
if [ "$1" = --host ]; then
  keep=$2 venv=$3
  be_host "$4" "$5"
fi

keep=$1 venv=$2 command=$3
shift 3
own_folders
ssh-keygen -q -t ed25519 -N '' -f ~/.ssh/id_ed25519
cp ~/.ssh/id_ed25519 ~/.ssh/lan
cp ~/.ssh/id_ed25519.pub ~/.ssh/authorized_keys
ip link set lo up
ip link add br0 type bridge
ip addr add 10.79.0.254/24 dev br0
ip link set br0 up
hostname laptop
printf '127.0.0.1 localhost\n10.79.0.254 laptop\n' > /run/hosts
number=0
for host in "$@"; do
  number=$((number + 1))
  echo "10.79.0.$number $host" >> /run/hosts
done
mount --bind /run/hosts /etc/hosts
number=0
for host in "$@"; do
  number=$((number + 1))
  make_host "$number" "$host"
done
bash -c "$command"
