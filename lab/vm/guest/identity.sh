# Make a VM that woke from the saved state, or booted from its own disk, itself. May be repeated.
#
# Few processes: each first run of a program is slow while its code is being translated.
set -eu
echo "$LAB_NAME" > /proc/sys/kernel/hostname
echo "$LAB_NAME" > /etc/hostname
printf '127.0.0.1 localhost\n10.0.2.2 host\n%s %s\n' "$LAB_HOST_ADDRESS" "$LAB_NAME" > /etc/hosts
echo "$LAB_MACHINE_ID" > /etc/machine-id
echo 1 > /proc/sys/net/ipv6/conf/eth1/disable_ipv6
ip -batch - <<BATCH
link set dev eth1 down
addr flush dev eth1
link set dev eth1 address $LAB_MAC
link set dev eth1 up
$(for address in $LAB_ADDRESSES; do echo "addr add $address/24 dev eth1"; done)
BATCH
echo "InitiatorName=$LAB_INITIATOR" > /etc/iscsi/initiatorname.iscsi
# iscsid reads the name when it starts; Debian's socket unit starts it at the first use.
if [ -e /run/iscsid.pid ]; then systemctl restart iscsid.service; fi
