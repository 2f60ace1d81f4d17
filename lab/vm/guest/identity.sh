# Make a VM that woke from the saved state, or booted from its own disk, itself. May be repeated.
set -eu
# All copies of one saved state would go on with the same random numbers, and so with the same file-system UUIDs and
# session ids; 0x5207 is RNDRESEEDCRNG (linux/random.h), which takes up the seed at once.
LAB_SEED=$LAB_SEED perl -e 'open(my $random, "+>", "/dev/urandom") or die $!;
    syswrite($random, $ENV{LAB_SEED}); ioctl($random, 0x5207, 0) or die "reseed: $!"'
date -u -s "@$LAB_NOW" > /dev/null
hostname "$LAB_NAME"
echo "$LAB_NAME" > /etc/hostname
printf '127.0.0.1 localhost\n10.0.2.2 host\n%s %s\n' "$LAB_HOST_ADDRESS" "$LAB_NAME" > /etc/hosts
echo "$LAB_MACHINE_ID" > /etc/machine-id
echo 1 > /proc/sys/net/ipv6/conf/eth1/disable_ipv6
{
    echo "link set dev eth1 down"
    echo "addr flush dev eth1"
    echo "link set dev eth1 address $LAB_MAC"
    echo "link set dev eth1 up"
    for address in $LAB_ADDRESSES; do echo "addr add $address/24 dev eth1"; done
} | ip -batch -
echo "InitiatorName=$LAB_INITIATOR" > /etc/iscsi/initiatorname.iscsi
# iscsid reads the name when it starts; Debian's socket unit starts it at the first use.
if [ -e /run/iscsid.pid ]; then systemctl restart iscsid.service; fi
