"""runAsNonRoot, held against the image's user as the kubelet does it. Called by ``container.py`` before each start.

Every runtime runs a container as the job's user, whatever the image's USER is; the check is the kubelet's all the same,
so that a pod that it would not start does not start here either. Source: verifyRunAsNonRoot in
pkg/kubelet/kuberuntime/security_context_others.go, whose words these are.
"""

from typing import Any, Dict, Optional

from interlink.runner.runtimes import ImageFile, Runtime


def refusal(plan: Dict[str, Any], spec: Dict[str, Any], image: Optional[ImageFile], runtime: Runtime) -> str:
    """Return why the container must not be made (CreateContainerConfigError), empty where it may."""
    if not spec.get("runAsNonRoot"):
        return ""
    pod = "{}_{}({})".format(plan["name"], plan["namespace"], plan["uid"])
    where = '(pod: "{}", container: {})'.format(pod, spec["name"])
    if runtime.root_options.intersection(runtime.options):
        option = sorted(runtime.root_options.intersection(runtime.options))[0]
        return "container has runAsNonRoot and {} makes it root {}".format(option, where)
    # Of a file of the site, and on the host, there is no user but the job's.
    if spec.get("runAsUser") is not None or image is None or image.config is None:
        return ""
    user = str(image.config.get("User") or "").partition(":")[0]
    if user and not user.isdecimal():
        text = "container has runAsNonRoot and image has non-numeric user ({}), cannot verify user is non-root {}"
        return text.format(user, where)
    return "" if user and int(user) else "container has runAsNonRoot and image will run as root {}".format(where)
