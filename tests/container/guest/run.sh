# Runs a command in an image's root with the mounts of the driver's pod: `sh run.sh ROOT node|controller COMMAND...`
#
# It makes the system calls of runc: a mount namespace whose mounts outside of the root are let go without the host
# noticing, the root on a private mount of its own, kubelet's directory a peer of the host's (Bidirectional), /dev and
# /sys the host's, the host's PIDs (hostPID) and network (hostNetwork), everything else read-only. A controller has
# another user's rights, a few harmless devices, and a directory for its socket.
set -eu
exec unshare --mount --propagation unchanged -- sh -euc '
    root=$1 kind=$2
    shift 2
    mount --bind "$root" "$root"
    mount --make-private "$root"
    mount --bind "$root" "$root"
    mount -t proc proc "$root/proc"
    mount -t tmpfs tmpfs "$root/run"
    mkdir "$root/run/old"
    if [ "$kind" = node ]; then
        mount --rbind /dev "$root/dev"
        mount --make-rslave "$root/dev"
        mount --rbind /sys "$root/sys"
        mount --make-rslave "$root/sys"
        mount --rbind /var/lib/kubelet "$root/var/lib/kubelet"
        set -- setpriv --reuid 0 --regid 0 --clear-groups -- "$@"
    else
        mount -t tmpfs tmpfs "$root/dev"
        for device in full null random urandom zero; do
            : > "$root/dev/$device"
            mount --bind "/dev/$device" "$root/dev/$device"
        done
        mount -t tmpfs -o mode=0770,gid=65532 tmpfs "$root/csi"
        set -- setpriv --reuid 65532 --regid 65532 --clear-groups --bounding-set=-all --no-new-privs -- "$@"
    fi
    mount -o remount,bind,ro "$root"
    pivot_root "$root" "$root/run/old"
    cd /
    mount --make-rslave /run/old
    umount --lazy /run/old
    exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@"
' run "$@"
