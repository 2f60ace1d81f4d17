# What a Kubernetes node has beside a plain VM: containerd's settings, a kubelet that waits for its own, and the kernel's.
#
# Run as root by mmdebstrap, outside the new root: root.sh ROOT
set -eu
root=$1
chmod 755 "$root/usr/local/bin/kubelet"
mkdir -p "$root/etc/containerd" "$root/etc/cni/net.d" "$root/etc/kubernetes" "$root/etc/systemd/system" "$root/var/lib/kubelet"

printf '%s\n' overlay br_netfilter > "$root/etc/modules-load.d/kubernetes.conf"
printf '%s\n' net.ipv4.ip_forward=1 net.bridge.bridge-nf-call-iptables=1 > "$root/etc/sysctl.d/90-kubernetes.conf"

cat > "$root/etc/containerd/config.toml" <<'TOML'
version = 2
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "registry.k8s.io/pause:3.10"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "/etc/cni/net.d"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = true
TOML

# What both need is written when the VM joins a cluster, and they are enabled then: they come back after a reboot.
cat > "$root/etc/systemd/system/cluster-network.service" <<'UNIT'
[Unit]
Description=The way to the cluster's API and to the pods of other nodes
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh /etc/kubernetes/network.sh
[Install]
WantedBy=multi-user.target
UNIT
cat > "$root/etc/systemd/system/kubelet.service" <<'UNIT'
[Unit]
Description=kubelet
After=containerd.service cluster-network.service
Wants=containerd.service cluster-network.service
[Service]
EnvironmentFile=/etc/kubernetes/kubelet.env
ExecStart=/usr/local/bin/kubelet --config=/etc/kubernetes/kubelet.json --kubeconfig=/etc/kubernetes/kubeconfig --hostname-override=${NODE} --node-ip=${ADDRESS}
Restart=always
RestartSec=1
[Install]
WantedBy=multi-user.target
UNIT
chroot "$root" systemctl enable -q containerd.service
