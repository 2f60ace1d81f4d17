# syntax=docker/dockerfile:1
# One image for both services, for every architecture that Debian and the wheels on PyPI have.
#
#   docker build -t REGISTRY/csi-solidfire:0.1.0 .
#   podman build -t REGISTRY/csi-solidfire:0.1.0 .
#
# Debian 12, because where its mkfs write is known and tried (csi_solidfire/node/filesystems.py); another base needs
# Python 3.11 or newer and the packages below. iscsiadm, iscsid and multipath are the host's and not in here.
ARG BASE=docker.io/library/debian:bookworm-slim

# Where PyPI cannot be reached: --build-context wheels=DIRECTORY --build-arg PIP_NO_INDEX=1, with the wheels of both
# files in deploy/image in that directory.
FROM scratch AS wheels

FROM ${BASE} AS packages
RUN apt-get update \
 && apt-get install -y --no-install-recommends python3-venv \
 && rm -rf /var/lib/apt/lists/*
ARG PIP_NO_INDEX
ENV PIP_NO_CACHE_DIR=1 PIP_NO_COMPILE=1 PIP_DISABLE_PIP_VERSION_CHECK=1
COPY deploy/image/*.txt /requirements/
# The second environment is the one that is shipped. It has no pip, and not the half of the Kubernetes client (68 MB)
# that is for asyncio. It is compiled here, as the root filesystem is read-only where it runs; all of it (-f), for some
# of what pip has compiled goes by its source's time, which an image need not keep.
RUN --mount=type=bind,from=wheels,target=/wheels \
    python3 -m venv /opt/build \
 && python3 -m venv --without-pip /opt/csi-solidfire \
 && install="install --require-hashes --only-binary=:all: --find-links=/wheels" \
 && /opt/build/bin/pip $install -r /requirements/build.txt \
 && /opt/build/bin/pip --python /opt/csi-solidfire/bin/python $install -r /requirements/run.txt \
 && rm -r /opt/csi-solidfire/lib/python3*/site-packages/kubernetes/aio \
 && python3 -m compileall -q -f --invalidation-mode=unchecked-hash /opt/csi-solidfire/lib

# The driver's own files are set apart, so that a new version is a new layer of 1 MB, not of 120.
FROM packages AS build
WORKDIR /src
COPY pyproject.toml hatch_build.py README.md LICENSE ./
COPY proto proto
COPY csi_solidfire csi_solidfire
RUN PATH=/opt/build/bin:$PATH pip wheel --no-build-isolation --no-deps --wheel-dir=/dist . \
 && /opt/build/bin/pip --python /opt/csi-solidfire/bin/python install --no-index --no-deps /dist/*.whl \
 && cd /opt/csi-solidfire \
 && python3 -m compileall -q -f --invalidation-mode=unchecked-hash lib/python3*/site-packages/csi_solidfire \
 && mkdir /driver \
 && cp -a --parents bin/csi-solidfire lib/python3*/site-packages/csi_solidfire* /driver

FROM ${BASE}
# Of the xfsprogs only xfs_scrub uses the tables of ICU, 36 MB. The rest is for builds that are the same whenever they
# are made: what names the time goes, and Python's own library is compiled without reference to its files' times.
RUN apt-get update \
 && apt-get install -y --no-install-recommends python3 e2fsprogs xfsprogs btrfs-progs util-linux mount \
 && rm /usr/lib/*/libicu*.so.* /usr/sbin/xfs_scrub \
 && apt-get clean \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/ldconfig/aux-cache /var/log/*.log /var/log/apt/* \
    /var/lib/dpkg/*-old /etc/*- \
 && python3 -m compileall -q -f --invalidation-mode=unchecked-hash /usr/lib/python3*
COPY --from=packages /opt/csi-solidfire /opt/csi-solidfire
COPY --from=build /driver /opt/csi-solidfire
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="csi-solidfire" \
      org.opencontainers.image.description="Kubernetes CSI driver for NetApp SolidFire (Element) storage" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}"
# Last, so that `kubectl exec` finds csi-solidfire by its name and every other program where the base has it.
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/opt/csi-solidfire/bin
# The controller needs no root; the node service is given it by its pod.
USER 65532:65532
ENTRYPOINT ["/opt/csi-solidfire/bin/csi-solidfire"]
