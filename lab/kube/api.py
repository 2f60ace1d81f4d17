"""Objects of any kind in the Kubernetes API, as plain dictionaries."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import kubernetes.client
import kubernetes.config
import yaml
from kubernetes.client import ApiException
from kubernetes.dynamic import DynamicClient
from kubernetes.dynamic.resource import ResourceList

Object = dict[str, Any]

_TIMEOUT: Final = 30.0  # seconds for one answer
_MANAGER: Final = "lab"

__all__ = ["Api", "ApiException", "Object"]


class Api:
    """The API as the user of one kubeconfig may use it; a context manager.

    Kinds are written as in a manifest. Where several groups have a kind, `api_version` says which is meant; without
    it the core's comes first. Every method raises `ApiException`, with `status` and `body`, when the server refuses.
    """

    def __init__(self, kubeconfig: Path) -> None:
        configuration = kubernetes.client.Configuration()
        kubernetes.config.load_kube_config(str(kubeconfig), client_configuration=configuration)
        configuration.proxy = None  # The environment's is not for this machine's own ports.
        self._client = kubernetes.client.ApiClient(configuration)
        # By default what one cluster serves is kept in /tmp and believed of the next that has the same address.
        self._discovered = tempfile.TemporaryDirectory(prefix="lab-api-")
        self._dynamic = DynamicClient(self._client, cache_file=f"{self._discovered.name}/cache")

    def create(self, document: Mapping[str, Any], namespace: str | None = None) -> Object:
        """Create an object, in the namespace that it names if none is given."""
        resource = self._resource(document["kind"], document["apiVersion"])
        created: Object = resource.create(body=dict(document), namespace=namespace, _request_timeout=_TIMEOUT).to_dict()
        return created

    def apply(
        self, manifests: str | Mapping[str, Any], namespace: str | None = None, *, dry_run: bool = False
    ) -> list[Object]:
        """Create or change objects in their order, as `kubectl apply --server-side --force-conflicts` does.

        Args:
            manifests: One object, or a text of YAML documents.
            namespace: For objects that name none.
            dry_run: The server only says what would become of it.
        """
        documents = yaml.safe_load_all(manifests) if isinstance(manifests, str) else [manifests]
        return [self._apply(document, namespace, dry_run) for document in documents if document]

    def get(self, kind: str, name: str, namespace: str | None = None, *, api_version: str | None = None) -> Object:
        """Return one object."""
        resource = self._resource(kind, api_version)
        found: Object = resource.get(name=name, namespace=namespace, _request_timeout=_TIMEOUT).to_dict()
        return found

    def find(
        self, kind: str, name: str, namespace: str | None = None, *, api_version: str | None = None
    ) -> Object | None:
        """Return one object, or None if it is not there."""
        try:
            return self.get(kind, name, namespace, api_version=api_version)
        except ApiException as error:
            if error.status != 404:
                raise
            return None

    def list(
        self,
        kind: str,
        namespace: str | None = None,
        *,
        labels: str | None = None,
        fields: str | None = None,
        api_version: str | None = None,
    ) -> list[Object]:
        """Return the objects of a kind, of all namespaces if none is given.

        Args:
            kind: Their kind.
            namespace: Where.
            labels: A selector, such as `app=csi-solidfire`.
            fields: A selector, such as `involvedObject.name=claim`.
            api_version: Where several groups have the kind.
        """
        resource = self._resource(kind, api_version)
        found = resource.get(
            namespace=namespace, label_selector=labels, field_selector=fields, _request_timeout=_TIMEOUT
        )
        objects: list[Object] = found.to_dict()["items"]
        return objects

    def patch(
        self,
        kind: str,
        name: str,
        change: Mapping[str, Any],
        namespace: str | None = None,
        *,
        api_version: str | None = None,
    ) -> Object:
        """Merge a change into an object (RFC 7386: None removes, lists are replaced)."""
        resource = self._resource(kind, api_version)
        changed: Object = resource.patch(
            name=name,
            namespace=namespace,
            body=dict(change),
            content_type="application/merge-patch+json",
            _request_timeout=_TIMEOUT,
        ).to_dict()
        return changed

    def patch_status(self, kind: str, name: str, change: Mapping[str, Any]) -> Object:
        """Merge a change into the status of an object that is in no namespace."""
        changed: Object = (
            self._resource(kind, None)
            .status.patch(
                name=name,
                body=dict(change),
                content_type="application/merge-patch+json",
                _request_timeout=_TIMEOUT,
            )
            .to_dict()
        )
        return changed

    def listed_kinds(self) -> tuple[tuple[str, str], ...]:
        """Return all kinds that can be listed, as `api_version` and `kind`."""
        listable = [
            (each.group_version, each.kind)
            for each in self._dynamic.resources.search()
            if not isinstance(each, ResourceList) and "list" in each.verbs and "/" not in each.name
        ]
        return tuple(sorted(set(listable)))

    def delete(
        self,
        kind: str,
        name: str,
        namespace: str | None = None,
        *,
        api_version: str | None = None,
        grace_seconds: int | None = None,
    ) -> None:
        """Ask for an object's deletion; finalizers and grace periods may keep it for a while.

        Args:
            kind: Its kind.
            name: Its name.
            namespace: Where.
            api_version: Where several groups have the kind.
            grace_seconds: For a pod; 0 does not wait for its node.
        """
        options = {"gracePeriodSeconds": grace_seconds} if grace_seconds is not None else None
        resource = self._resource(kind, api_version)
        resource.delete(name=name, namespace=namespace, body=options, _request_timeout=_TIMEOUT)

    def token(self, namespace: str, service_account: str) -> str:
        """Return a token for a service account (TokenRequest), valid for an hour."""
        core = kubernetes.client.CoreV1Api(self._client)
        request = kubernetes.client.AuthenticationV1TokenRequest(
            spec=kubernetes.client.V1TokenRequestSpec(expiration_seconds=3600, audiences=[])
        )
        made = core.create_namespaced_service_account_token(
            service_account, namespace, request, _request_timeout=_TIMEOUT
        )
        token: str = made.to_dict()["status"]["token"]
        return token

    def close(self) -> None:
        self._client.close()
        self._client.rest_client.pool_manager.clear()
        self._discovered.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _apply(self, document: Mapping[str, Any], namespace: str | None, dry_run: bool) -> Object:
        resource = self._resource(document["kind"], document["apiVersion"])
        applied: Object = resource.server_side_apply(
            body=dict(document),
            namespace=document["metadata"].get("namespace") or namespace,
            field_manager=_MANAGER,
            force_conflicts=True,
            dry_run="All" if dry_run else None,
            _request_timeout=_TIMEOUT,
        ).to_dict()
        return applied

    def _resource(self, kind: str, api_version: str | None) -> Any:
        if api_version is not None:
            return self._dynamic.resources.get(api_version=api_version, kind=kind)
        found = self._dynamic.resources.search(kind=kind)
        preferred = [each for each in found if each.preferred and not isinstance(each, ResourceList)]
        if not preferred:
            raise LookupError(f"the API serves no {kind}")
        return preferred[0]
