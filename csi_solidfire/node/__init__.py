"""One Linux host: iSCSI sessions, disks, filesystems and mounts. No gRPC, and nothing of the array's API."""
