"""The schema of the values: what is misspelt or impossible is refused before anything is installed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from csi_solidfire.storage import parameters
from csi_solidfire.storage.access import FILESYSTEMS
from tests.chart import rendering

pytestmark = pytest.mark.timeout(1200)

_SCHEMA: dict[str, Any] = json.loads((rendering.CHART / "values.schema.json").read_text())


def _objects(schema: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(schema, dict):
        if isinstance(schema.get("properties"), dict):
            yield path, schema
        for key, value in schema.items():
            yield from _objects(value, f"{path}/{key}")


def test_no_object_with_known_keys_takes_others() -> None:
    found = dict(_objects(_SCHEMA))
    assert len(found) > 15
    # Below `global` a parent chart has what its other charts want.
    assert [path for path, schema in found.items() if schema.get("additionalProperties") is not False] == [
        "/properties/global"
    ]


def test_a_storage_class_has_the_drivers_parameters() -> None:
    """Each can be given; `cluster` and the filesystem have fields of their own."""
    fields = _SCHEMA["$defs"]["storageClass"]["properties"]
    by_name, _ = fields["parameters"]["propertyNames"]["anyOf"]
    assert {*by_name["enum"], "cluster"} == set(parameters._KNOWN)
    assert set(fields["fsType"]["enum"]) == set(FILESYSTEMS)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("controller: {replcas: 3}", "replcas"),
        ("controler: {replicas: 3}", "controler"),
        ("controller: {replicas: 0}", "/controller/replicas"),
        ("controller: {replicas: two}", "/controller/replicas"),
        ("controller: {extraArgs: [threads]}", "/controller/extraArgs"),
        ("controller: {antiAffinity: strong}", "/controller/antiAffinity"),
        ("controller: {tolerations: [{key: a, effect: NoSchedul}]}", "/controller/tolerations/0/effect"),
        ("controller: {tolerations: [{key: a, operator: exists}]}", "/controller/tolerations/0/operator"),
        ("node: {tolerations: [{key: a, vlaue: b}]}", "vlaue"),
        ("node: {tolerations: [{key: a, value: true}]}", "/node/tolerations/0/value"),
        ("controller: {extraEnv: [{name: HTTPS_PROXY, value: 1}]}", "/controller/extraEnv/0/value"),
        ("node: {extraEnv: [{value: a}]}", "/node/extraEnv/0"),
        ("controller: {updateStrategy: {type: RollingUpdate, maxSurge: 0}}", "maxSurge"),
        ("node: {updateStrategy: {type: Rolling}}", "/node/updateStrategy/type"),
        ("controller: {podDisruptionBudget: {maxUnavailable: half}}", "/controller/podDisruptionBudget/maxUnavailable"),
        ("sidecars: {attacher: {extraRules: [{resources: [secrets], verb: [get]}]}}", "verb"),
        ("networkPolicy: {metricsFrom: [{podSelektor: {}}]}", "podSelektor"),
        ("storageClasses: [{name: x, allowedTopologies: [{matchLabels: {a: b}}]}]", "matchLabels"),
        ("controller: {extraVolumes: [{configMap: {name: a}}]}", "/controller/extraVolumes/0"),
        ("node: {extraVolumeMounts: [{name: a, mountPath: etc}]}", "/node/extraVolumeMounts/0/mountPath"),
        ("node: {extraVolumeMounts: [{name: a, mountPath: /etc, readonly: true}]}", "readonly"),
        ("controller: {dnsPolicy: Cluster}", "/controller/dnsPolicy"),
        ("controller: {dnsConfig: {nameserver: [192.0.2.53]}}", "nameserver"),
        ("sidecars: {attacher: {extraEnv: [{name: A, value: 1}]}}", "/sidecars/attacher/extraEnv/0/value"),
        ("rbac: {create: 'no'}", "/rbac/create"),
        ("node: {kubeletDir: var/lib/kubelet}", "/node/kubeletDir"),
        ("node: {maxVolumes: 0}", "/node/maxVolumes"),
        ("node: {port: 70000}", "/node/port"),
        ("node: {securityContxt: {}}", "securityContxt"),
        ("logLevel: verbose", "/logLevel"),
        ("driverName: CSI.Example.org", "/driverName"),
        ("image: {digest: sha256:abc}", "/image/digest"),
        ("image: {pullPolicy: Sometimes}", "/image/pullPolicy"),
        ("imagePullSecrets: [mirror]", "/imagePullSecrets"),
        ("imagePullSecrets: [{name: mirror, namespace: x}]", "/imagePullSecrets"),
        ("global: {imagePullSecrets: mirror}", "/global/imagePullSecrets"),
        ("global: {imagePullSecrets: [{nam: mirror}]}", "/global/imagePullSecrets"),
        ("nameOverride: Block_Storage", "/nameOverride"),
        ("fullnameOverride: -sf", "/fullnameOverride"),
        ("sidecars: {resizer: {}}", "resizer"),
        ("sidecars: {provisioner: {timeout: 60}}", "/sidecars/provisioner/timeout"),
        ("sidecars: {attacher: {image: {tagg: v1}}}", "tagg"),
        ("csiDriver: {fsGroupPolicy: Always}", "/csiDriver/fsGroupPolicy"),
        ("csiDriver: {attachRequired: false}", "attachRequired"),
        ("metrics: {serviceMonitor: {enabled: 'yes'}}", "/metrics/serviceMonitor/enabled"),
        ("networkPolicy: {arrayCIDRs: [10.0.0.5]}", "/networkPolicy/arrayCIDRs"),
        ("test: {size: 1 GiB}", "/test/size"),
        ("clusters: [{name: a}]", "existingSecret"),
        ("clusters: [{name: A, existingSecret: s}]", "/clusters/0/name"),
        ("clusters: [{name: a, existingSecret: s, password: p}]", "/clusters/0"),
        ("clusters: [{name: a, endpoint: 'https://a', username: u}]", "password"),
        ("clusters: [{name: a, endpoint: 'http://a', existingSecret: s}]", "/clusters/0/endpoint"),
        ("clusters: [{name: a, endpoint: 'https://a/json-rpc/12.0', existingSecret: s}]", "/clusters/0/endpoint"),
        ("clusters: [{name: a, endpoint: 'https://u:p@a', existingSecret: s}]", "/clusters/0/endpoint"),
        ("clusters: [{name: a, existingSecret: s, caCert: /etc/ca.pem}]", "/clusters/0/caCert"),
        ("clusters: [{name: a, existingSecret: s, svip: '10.0.0.1/24'}]", "/clusters/0/svip"),
        ("storageClasses: [{name: x, fstype: xfs}]", "fstype"),
        ("storageClasses: [{name: x, fsType: ext3}]", "/storageClasses/0/fsType"),
        ("storageClasses: [{name: x, parameters: {minIops: 100}}]", "minIops"),
        ("storageClasses: [{name: x, parameters: {minIOPS: [100]}}]", "/storageClasses/0/parameters/minIOPS"),
        (
            "storageClasses: [{name: x, parameters: {csi.storage.k8s.io/node-stage-secret-name: mine}}]",
            "node-stage-secret-name",
        ),
        ("storageClasses: [{name: x, allowVolumeExpansion: true}]", "allowVolumeExpansion"),
        ("storageClasses: [{name: x, secret: {name: s}}]", "namespace"),
        ("storageClasses: [{name: x, secret: {name: s, namespace: '${pvc.namespace}'}}]", "/secret/namespace"),
        ("storageClasses: [{name: x, cluster: a, secret: {name: s, namespace: team-a}}]", "/storageClasses/0"),
    ],
)
def test_what_is_misspelt_or_impossible_is_refused(given: str, told: str, tmp_path: Path) -> None:
    """The message names the place."""
    good = "clusters: [{name: main, existingSecret: solidfire-main}]\n"
    file = tmp_path / "values.yaml"
    file.write_text(given if given.startswith("clusters") else good + given)
    with pytest.raises(ValueError, match="don't meet the specifications of the schema") as refused:
        rendering.template(file)
    assert told in str(refused.value)


def test_what_is_good_is_taken(tmp_path: Path) -> None:
    """The refusals above are for what they say, not for what they have in common."""
    file = tmp_path / "values.yaml"
    file.write_text(
        "clusters: [{name: main, existingSecret: solidfire-main}]\n"
        "storageClasses: [{name: x, parameters: {minIOPS: 100, chap: one-way, fencing: false}}]\n"
        "test: {size: 1Gi}\n"
        "node: {tolerations: [{key: a, operator: Equal, value: b, effect: NoExecute, tolerationSeconds: 60}]}\n"
        "controller: {podDisruptionBudget: {maxUnavailable: 50%}, extraEnv: [{name: A, valueFrom: {}}]}\n"
    )
    assert rendering.template(file)
