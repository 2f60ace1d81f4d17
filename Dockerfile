# syntax=docker/dockerfile:1
# One image for both services. The node side brings mkfs, fsck and blkid of known versions; iscsiadm and iscsid are the host's.
ARG BASE=docker.io/library/debian:bookworm-slim

FROM ${BASE} AS build
RUN apt-get update \
 && apt-get install -y --no-install-recommends python3-venv python3-pip \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY pyproject.toml hatch_build.py README.md LICENSE ./
COPY proto proto
COPY csi_solidfire csi_solidfire
RUN python3 -m venv /opt/csi-solidfire && /opt/csi-solidfire/bin/pip install --no-cache-dir .

FROM ${BASE}
RUN apt-get update \
 && apt-get install -y --no-install-recommends python3 e2fsprogs xfsprogs btrfs-progs util-linux mount \
 && rm -rf /var/lib/apt/lists/*
COPY --from=build /opt/csi-solidfire /opt/csi-solidfire
LABEL org.opencontainers.image.title="csi-solidfire" \
      org.opencontainers.image.description="Kubernetes CSI driver for NetApp SolidFire (Element) storage" \
      org.opencontainers.image.licenses="Apache-2.0"
# The controller needs no root; the node service is given it by its pod.
USER 65532:65532
ENTRYPOINT ["/opt/csi-solidfire/bin/csi-solidfire"]
