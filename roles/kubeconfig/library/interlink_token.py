#!/usr/bin/python
"""Ansible module: a ServiceAccount's bounded token by TokenRequest, taken anew only when the present one is used up.

Used by the kubeconfig role. kubernetes.core has no TokenRequest. ``needs_token`` is pure; the rest is four calls of
the Kubernetes API.
"""

from __future__ import annotations

import base64
import binascii
import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

try:
    import yaml
    from kubernetes import client, config
    from kubernetes.client.exceptions import ApiException

    MISSING = ""
except ImportError:
    MISSING = "kubernetes"

DOCUMENTATION = r"""
---
module: interlink_token
short_description: Keep a ServiceAccount's bounded token for a kubeconfig
description:
  - Creates the ServiceAccount where it is missing.
  - Takes a token by TokenRequest where the kubeconfig that is there has none, or one that the cluster no longer
    accepts, that belongs to another ServiceAccount, or of whose life less than I(refresh_below) is left.
  - In check mode it says whether it would, and changes nothing.
options:
  kubeconfig:
    description: The administrator's kubeconfig.
    type: path
    required: true
  context:
    description: Its context; the current one if not given.
    type: str
  namespace:
    description: The ServiceAccount's namespace, which has to be there.
    type: str
    required: true
  service_account:
    description: The ServiceAccount's name.
    type: str
    required: true
  lifetime:
    description: Life of a new token in seconds; the API server may shorten it. At least 600.
    type: int
    default: 2592000
  refresh_below:
    description: The part of its life below which the token is replaced.
    type: float
    default: 0.33
  present:
    description: Text of the kubeconfig that is there; empty if none is.
    type: str
    default: ""
author: InterLink edge contributors
"""

EXAMPLES = r"""
- name: Keep the token
  interlink_token:
    kubeconfig: ~/.kube/config
    namespace: interlink
    service_account: interlink-plugins
    present: "{{ slurped.content | default('') | b64decode }}"
  register: result
  no_log: true
"""

RETURN = r"""
token: {description: The token to use; a secret., type: str, returned: always}
expires: {description: When it ends (RFC 3339)., type: str, returned: always}
reason: {description: Why a new one was taken; empty if none was., type: str, returned: always}
server: {description: The API server as the administrator's kubeconfig names it., type: str, returned: always}
ca_data: {description: Its certificate authority in base64., type: str, returned: always}
"""


def claims_of(token: str) -> dict[str, Any]:
    """Return a JWT's claims, unverified; none where it is no JWT."""
    try:
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (IndexError, ValueError, binascii.Error):
        return {}
    return claims if isinstance(claims, dict) else {}


def token_of(kubeconfig: str) -> str:
    """Return the first user's token of a kubeconfig's text; empty where there is none."""
    try:
        return str(yaml.safe_load(kubeconfig)["users"][0]["user"]["token"])
    except (yaml.YAMLError, TypeError, KeyError, IndexError):
        return ""


def needs_token(token: str, uid: str, now: float, refresh_below: float) -> str:
    """Return why the ServiceAccount with this UID needs another token than this one; empty where it does not."""
    if not token:
        return "there is no token"
    claims = claims_of(token)
    try:
        owner = claims["kubernetes.io"]["serviceaccount"]["uid"]
        issued, ends = float(claims["iat"]), float(claims["exp"])
    except (KeyError, TypeError, ValueError):
        return "the token is not one of a TokenRequest"
    if owner != uid:
        return "the token is of another ServiceAccount"
    if ends - now < refresh_below * (ends - issued):
        return "the token is about to end"
    return ""


def expires_of(token: str) -> str:
    """Return when a token ends, in RFC 3339; empty where it does not say."""
    ends = claims_of(token).get("exp")
    return datetime.fromtimestamp(ends, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if ends else ""


def accepted(api: Any, token: str) -> bool:
    """Return whether the cluster takes the token."""
    review = client.V1TokenReview(spec=client.V1TokenReviewSpec(token=token))
    return bool(client.AuthenticationV1Api(api).create_token_review(review).status.authenticated)


def service_account(api: Any, namespace: str, name: str, check_mode: bool) -> tuple[str, bool]:
    """Return the ServiceAccount's UID and whether it is new (empty UID: it would be made)."""
    core = client.CoreV1Api(api)
    try:
        return core.read_namespaced_service_account(name, namespace).metadata.uid, False
    except ApiException as error:
        if error.status != 404:
            raise
    if check_mode:
        return "", True
    labels = {"app.kubernetes.io/managed-by": "interlink-ansible"}
    body = client.V1ServiceAccount(
        metadata=client.V1ObjectMeta(name=name, labels=labels), automount_service_account_token=False
    )
    return core.create_namespaced_service_account(namespace, body).metadata.uid, True


def new_token(api: Any, namespace: str, name: str, lifetime: int) -> str:
    """Take a token by TokenRequest."""
    request = client.AuthenticationV1TokenRequest(
        spec=client.V1TokenRequestSpec(expiration_seconds=lifetime, audiences=[])
    )
    answer = client.CoreV1Api(api).create_namespaced_service_account_token(name, namespace, request)
    return str(answer.status.token)


def run(module: AnsibleModule) -> dict[str, Any]:
    """Do what the parameters ask; return the module's result."""
    given = module.params
    settings = client.Configuration()
    config.load_kube_config(given["kubeconfig"], given["context"], settings, persist_config=False)
    api = client.ApiClient(settings)
    uid, is_new = service_account(api, given["namespace"], given["service_account"], module.check_mode)
    token = token_of(given["present"])
    reason = needs_token(token, uid, time.time(), given["refresh_below"])
    if not reason and not accepted(api, token):
        reason = "the cluster does not accept the token"
    if reason:
        token = (
            "" if module.check_mode else new_token(api, given["namespace"], given["service_account"], given["lifetime"])
        )
    ca = Path(settings.ssl_ca_cert).read_bytes() if settings.ssl_ca_cert else b""
    return {
        "changed": is_new or bool(reason),
        "token": token,
        "expires": expires_of(token),
        "reason": reason,
        "server": settings.host,
        "ca_data": base64.b64encode(ca).decode(),
    }


def main() -> None:
    """Run as Ansible's module."""
    module = AnsibleModule(
        argument_spec={
            "kubeconfig": {"type": "path", "required": True},
            "context": {"type": "str"},
            "namespace": {"type": "str", "required": True},
            "service_account": {"type": "str", "required": True},
            "lifetime": {"type": "int", "default": 2592000},
            "refresh_below": {"type": "float", "default": 0.33},
            "present": {"type": "str", "default": "", "no_log": True},
        },
        supports_check_mode=True,
    )
    if MISSING:
        module.fail_json(msg=missing_required_lib(MISSING))
    try:
        result = run(module)
    except ApiException as error:
        module.fail_json(msg=f"the Kubernetes API answered {error.status} {error.reason}: {error.body}")
    except (OSError, config.ConfigException) as error:
        module.fail_json(msg=f"{module.params['kubeconfig']}: {error}")
    except Exception as error:
        # urllib3 has many ways to say that nobody answers.
        module.fail_json(msg=f"the Kubernetes API cannot be reached: {error}")
    else:
        module.exit_json(**result)


if __name__ == "__main__":
    main()
