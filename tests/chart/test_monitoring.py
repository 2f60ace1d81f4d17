"""Alerts, dashboard and ServiceMonitors speak of metrics that exist, and of the Services that the chart makes."""

from __future__ import annotations

import json
import re
from typing import Any

import grpc
import promql_parser
import pytest
import yaml
from promql_parser import AggregateExpr, BinaryExpr, Call, Expr, VectorSelector

from csi_solidfire import metrics
from tests.chart import rendering
from tests.chart.rendering import Object, containers, objects, of_kind, one

pytestmark = pytest.mark.timeout(1200)

# Of Prometheus itself, of its client library, and of the sidecars (test_in_use.py asks them).
_OTHERS: dict[str, set[str]] = {
    "up": set(),
    "process_resident_memory_bytes": set(),
    "process_cpu_seconds_total": set(),
    "leader_election_master_status": {"name"},
}
# By Prometheus, its Operator, the ServiceMonitors, and to a histogram's buckets.
_ADDED = {"job", "instance", "pod", "endpoint", "node", "le"}


def _known() -> dict[str, set[str]]:
    """Return the labels of every series of the driver, by its name."""
    known: dict[str, set[str]] = dict(_OTHERS)
    for name, collector in metrics.REGISTRY._names_to_collectors.items():
        known[name] = set(getattr(collector, "_labelnames", ()))
    return known


def _rules() -> list[Object]:
    groups = yaml.safe_load((rendering.CHART / "files/alerts.yaml").read_text())
    return [rule for group in groups for rule in group["rules"]]


def _dashboard() -> dict[str, Any]:
    read: dict[str, Any] = json.loads((rendering.CHART / "files/dashboard.json").read_text())
    return read


def _expressions() -> list[str]:
    shown = [target["expr"] for panel in _dashboard()["panels"] for target in panel["targets"]]
    return [*(rule["expr"] for rule in _rules()), *shown]


def _parsed(expression: str) -> Expr:
    """Read PromQL as Prometheus does, the dashboard's after Grafana has put its own into it."""
    return promql_parser.parse(expression.replace("$__rate_interval", "5m"))


def _parts(expression: str) -> list[Expr]:
    parts: list[Expr] = []
    promql_parser.walk(_parsed(expression), parts.append)
    return parts


def _selectors(expression: str) -> dict[str, set[str]]:
    """Return the labels that an expression asks for, by the name of the series."""
    asked: dict[str, set[str]] = {}
    for part in _parts(expression):
        if isinstance(part, VectorSelector):
            assert part.name
            asked.setdefault(part.name, set()).update(matcher.name for matcher in part.matchers.matchers)
    return asked


def _grouped(part: Expr) -> list[str]:
    if isinstance(part, AggregateExpr):
        return part.modifier.labels if part.modifier else []
    if isinstance(part, BinaryExpr) and part.modifier and part.modifier.matching:
        return [*part.modifier.matching.labels, *(part.modifier.group_labels or [])]
    return []


@pytest.mark.parametrize("expression", _expressions())
def test_every_metric_and_label_exists(expression: str) -> None:
    known, asked = _known(), _selectors(expression)
    assert asked
    for name, labels in asked.items():
        assert name in known
        assert labels <= known[name] | _ADDED
    grouped = {label for part in _parts(expression) for label in _grouped(part)}
    assert grouped <= set().union(*(known[name] for name in asked)) | _ADDED


@pytest.mark.parametrize("wrong", ["sum by (method) (rate(up[5m])", "rate(up)", "sum(up) by method", "nosuch(up)"])
def test_what_prometheus_would_refuse_is_noticed(wrong: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        _parsed(wrong)


def _kept(expression: Expr) -> set[str]:
    """Return the labels of an expression's result."""
    if isinstance(expression, BinaryExpr):
        return _kept(expression.lhs)
    if isinstance(expression, AggregateExpr | Call):
        return set(_grouped(expression))
    assert isinstance(expression, VectorSelector)
    return _known()[expression.name or ""] | _ADDED


@pytest.mark.parametrize("rule", _rules(), ids=lambda rule: rule["alert"])
def test_alerts_speak_of_labels_that_they_have(rule: Object) -> None:
    spoken = set(re.findall(r"\$labels\.(\w+)", str(rule["annotations"])))
    assert spoken <= _kept(_parsed(rule["expr"]))


@pytest.mark.parametrize("alert", ["CsiSolidfireArraySilent", "CsiSolidfireCredentialsRefused"])
def test_what_is_wrong_with_one_of_several_arrays_is_told_of_that_one(alert: str) -> None:
    """Those that answer do not hide it."""
    (rule,) = [rule for rule in _rules() if rule["alert"] == alert]
    assert all("array" in _grouped(part) for part in _parts(rule["expr"]) if isinstance(part, AggregateExpr))
    assert "$labels.array" in rule["annotations"]["summary"]


def test_a_users_mistake_is_no_alert() -> None:
    """Claims that ask for the impossible are asked for again and again, and fail each time."""
    (rule,) = [rule for rule in _rules() if rule["alert"] == "CsiSolidfireCallsFail"]
    (left_out,) = re.findall(r'code!~"([^"]*)"', rule["expr"])
    counted = {code.name for code in grpc.StatusCode if not re.fullmatch(left_out, code.name)}
    assert counted == {
        *("CANCELLED", "DATA_LOSS", "DEADLINE_EXCEEDED", "INTERNAL", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED"),
        *("UNAUTHENTICATED", "UNAVAILABLE", "UNIMPLEMENTED", "UNKNOWN"),
    }


def test_a_sidecar_that_is_away_or_leaderless_is_an_alert() -> None:
    """The driver's own metrics say nothing of them."""
    rules = {rule["alert"]: rule["expr"] for rule in _rules()}
    assert rules["CsiSolidfireControllerDown"] == 'up{job="@fullname@-controller-metrics"} == 0'
    assert "leader_election_master_status" in rules["CsiSolidfireNobodyLeads"]


def test_every_alert_says_what_happens_and_how_bad_it_is() -> None:
    rules = _rules()
    assert len({rule["alert"] for rule in rules}) == len(rules) > 5
    for rule in rules:
        assert rule["labels"]["severity"] in {"critical", "warning"}
        assert {"summary", "description"} == rule["annotations"].keys()


def test_alerts_ask_for_the_services_that_exist() -> None:
    text = rendering.template(rendering.VALUES["monitoring"], release="other")
    rules = str(one("PrometheusRule", objects(text)))
    services = {item["metadata"]["name"] for item in of_kind("Service", objects(text))}
    assert set(re.findall(r'job="([^"]*)"', rules)) <= services
    assert "other-csi-solidfire-node-metrics" in services


@pytest.mark.parametrize("values", rendering.VALUES)
def test_services_lead_to_ports_of_the_pods_they_are_for(values: str) -> None:
    found = objects(rendering.text(values))
    for service in of_kind("Service", found):
        (workload,) = [item for item in _workloads(found) if _selects(service["spec"]["selector"], item)]
        ports = {port["name"]: port["containerPort"] for c in containers(workload).values() for port in c["ports"]}
        assert {port["targetPort"]: port["port"] for port in service["spec"]["ports"]} == ports
        assert service["spec"]["clusterIP"] == "None"


def test_rules_and_dashboard_arrive_as_they_are() -> None:
    found = objects(rendering.text("monitoring"))
    (groups,) = one("PrometheusRule", found)["spec"]["groups"]
    assert [rule["alert"] for rule in groups["rules"]] == [rule["alert"] for rule in _rules()]
    (board,) = [item for item in of_kind("ConfigMap", found) if "csi-solidfire.json" in item["data"]]
    assert json.loads(board["data"]["csi-solidfire.json"]) == _dashboard()
    assert board["metadata"]["labels"]["grafana_dashboard"] == "1"


def test_service_monitors_find_their_service_and_its_ports() -> None:
    found = objects(rendering.text("monitoring"))
    monitors = of_kind("ServiceMonitor", found)
    assert len(monitors) == 2
    for monitor in monitors:
        wanted = monitor["spec"]["selector"]["matchLabels"].items()
        (service,) = [item for item in of_kind("Service", found) if wanted <= item["metadata"]["labels"].items()]
        ports = {port["name"] for port in service["spec"]["ports"]}
        assert {endpoint["port"] for endpoint in monitor["spec"]["endpoints"]} == ports
        assert all(endpoint["relabelings"][0]["targetLabel"] == "node" for endpoint in monitor["spec"]["endpoints"])
        assert monitor["metadata"]["labels"]["release"] == "prometheus"


def test_what_needs_the_prometheus_operator_is_asked_for() -> None:
    kinds = {item["kind"] for item in objects(rendering.text("minimal"))}
    assert not kinds & {"ServiceMonitor", "PrometheusRule", "NetworkPolicy"}


def test_without_metrics_there_is_no_service() -> None:
    assert not of_kind("Service", objects(rendering.text("particular")))


def test_the_dashboards_panels_do_not_overlap() -> None:
    seen: set[tuple[int, int]] = set()
    for panel in _dashboard()["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & seen
        assert place["x"] + place["w"] <= 24
        seen |= cells


def test_the_network_policy_lets_through_what_the_controller_needs() -> None:
    found = objects(rendering.text("monitoring"))
    policy = one("NetworkPolicy", found)["spec"]
    assert _selects(policy["podSelector"]["matchLabels"], one("Deployment", found))
    assert not _selects(policy["podSelector"]["matchLabels"], one("DaemonSet", found))
    allowed = [([port["port"] for port in rule["ports"]], rule.get("to")) for rule in policy["egress"]]
    assert allowed == [
        ([53, 53, 5353, 5353], None),
        ([443], [{"ipBlock": {"cidr": "10.0.0.5/32"}}]),
        ([443, 6443], [{"ipBlock": {"cidr": "192.0.2.0/28"}}]),
    ]


def _workloads(found: list[Object]) -> list[Object]:
    return [one("Deployment", found), one("DaemonSet", found)]


def _selects(selector: dict[str, str], workload: Object) -> bool:
    labels: dict[str, str] = workload["spec"]["template"]["metadata"]["labels"]
    return selector.items() <= labels.items()
