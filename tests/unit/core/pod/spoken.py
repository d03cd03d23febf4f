"""For each field that the table of support refuses or ignores, a v1.PodSpec that has it; for tests of both sides."""

from typing import Any

Json = dict[str, Any]


def container(**fields: Any) -> Json:
    return {"containers": [{"name": "main", "image": "busybox:1", **fields}]}


def context(**fields: Any) -> Json:
    return container(securityContext=fields)


def volume(**source: Any) -> Json:
    mounts = [{"name": "v", "mountPath": "/v"}]
    return {**container(volumeMounts=mounts), "volumes": [{"name": "v", **source}]}


def unmounted(**source: Any) -> Json:
    return {**container(), "volumes": [{"name": "v", **source}]}


def mount(**fields: Any) -> Json:
    mounts = [{"name": "v", "mountPath": "/v", **fields}]
    return {**container(volumeMounts=mounts), "volumes": [{"name": "v", "emptyDir": {}}]}


def probe(**handler: Any) -> Json:
    return container(livenessProbe=handler)


_CLAIMS = {"claims": [{"name": "gpu"}]}
_ITEM = {"key": "k", "path": "k", "user": 7}
_DOWNWARD = {"path": "name", "user": 7, "fieldRef": {"fieldPath": "metadata.name"}}
_LOCALHOST = {"type": "Localhost", "localhostProfile": "p.json"}

#: By type and field. What is said in the spec's place is added to one container named main.
REFUSED: dict[tuple[str, str], Json] = {
    ("PodSpec", "hostAliases"): {"hostAliases": [{"ip": "10.0.0.1", "hostnames": ["x"]}]},
    ("PodSpec", "hostIPC"): {"hostIPC": True},
    ("PodSpec", "hostPID"): {"hostPID": True},
    ("PodSpec", "resourceClaims"): {"resourceClaims": [{"name": "gpu", "resourceClaimName": "g"}]},
    ("PodSpec", "shareProcessNamespace"): {"shareProcessNamespace": True},
    ("PodOS", "name"): {"os": {"name": "windows"}},
    ("PodResources", "limits"): {"resources": {"limits": {"hugepages-2Mi": "4Mi"}}},
    ("PodResources", "requests"): {"resources": {"requests": {"hugepages-2Mi": "4Mi"}}},
    ("PodResources", "claims"): {"resources": _CLAIMS},
    ("PodSecurityContext", "runAsUser"): {"securityContext": {"runAsUser": 4242}},
    ("PodSecurityContext", "runAsGroup"): {"securityContext": {"runAsGroup": 4242}},
    ("PodSecurityContext", "supplementalGroups"): {"securityContext": {"supplementalGroups": [4242]}},
    ("PodSecurityContext", "sysctls"): {"securityContext": {"sysctls": [{"name": "net.core.somaxconn", "value": "1"}]}},
    ("SeccompProfile", "type"): {"securityContext": {"seccompProfile": _LOCALHOST}},
    ("AppArmorProfile", "type"): context(appArmorProfile=_LOCALHOST),
    ("SecurityContext", "runAsUser"): context(runAsUser=4242),
    ("SecurityContext", "runAsGroup"): context(runAsGroup=4242),
    ("SecurityContext", "privileged"): context(privileged=True),
    ("Capabilities", "add"): context(capabilities={"add": ["NET_ADMIN", "SYS_ADMIN"]}),
    ("Container", "restartPolicy"): container(restartPolicy="Never"),
    ("Container", "restartPolicyRules"): container(restartPolicyRules=[{"action": "Restart"}]),
    ("Container", "volumeDevices"): container(volumeDevices=[{"name": "v", "devicePath": "/dev/v"}]),
    ("ResourceRequirements", "limits"): container(resources={"limits": {"example.com/dongle": "1"}}),
    ("ResourceRequirements", "requests"): container(resources={"requests": {"example.com/dongle": "1"}}),
    ("ResourceRequirements", "claims"): container(resources=_CLAIMS),
    ("Lifecycle", "stopSignal"): container(lifecycle={"stopSignal": "SIGUSR1"}),
    ("HTTPGetAction", "protocol"): probe(httpGet={"port": 80, "protocol": "HTTP2"}),
    ("GRPCAction", "mode"): probe(grpc={"port": 80, "mode": "TLS"}),
    ("EmptyDirVolumeSource", "medium"): volume(emptyDir={"medium": "HugePages"}),
    ("HostPathVolumeSource", "path"): volume(hostPath={"path": "/etc"}),
    ("PersistentVolumeClaimVolumeSource", "claimName"): volume(persistentVolumeClaim={"claimName": "c"}),
    ("VolumeMount", "mountPropagation"): mount(mountPropagation="Bidirectional"),
    ("VolumeMount", "recursiveReadOnly"): mount(recursiveReadOnly="Enabled"),
    ("VolumeMount", "bindMountOptions"): mount(bindMountOptions=["noexec"]),
}  # fmt: skip

#: What the virtual kubelet refuses by itself.
REFUSED_AT_ONCE: dict[tuple[str, str], Json] = {
    ("EnvVarSource", "fileKeyRef"): container(
        env=[{"name": "A", "valueFrom": {"fileKeyRef": {"volumeName": "v", "path": "f", "key": "k"}}}]
    ),
    ("VolumeProjection", "podCertificate"): volume(projected={"sources": [{"podCertificate": {"signerName": "s"}}]}),
}

IGNORED: dict[tuple[str, str], Json] = {
    ("PodSpec", "dnsConfig"): {"dnsConfig": {"options": [{"name": "ndots", "value": "2"}]}},
    ("PodSpec", "dnsPolicy"): {"dnsPolicy": "None"},
    ("PodSpec", "ephemeralContainers"): {"ephemeralContainers": [{"name": "debugger", "image": "b"}]},
    ("PodSpec", "hostname"): {"hostname": "web-0"},
    ("PodSpec", "hostnameOverride"): {"hostnameOverride": "web-0"},
    ("PodSpec", "setHostnameAsFQDN"): {"setHostnameAsFQDN": True},
    ("PodSpec", "runtimeClassName"): {"runtimeClassName": "kata"},
    ("PodSpec", "schedulingGroup"): {"schedulingGroup": {"podGroupName": "g"}},
    ("PodSpec", "workloadRef"): {"workloadRef": {"name": "w", "podGroup": "g"}},
    ("PodSecurityContext", "seLinuxOptions"): {"securityContext": {"seLinuxOptions": {"level": "s0"}}},
    ("PodSecurityContext", "seLinuxChangePolicy"): {"securityContext": {"seLinuxChangePolicy": "Recursive"}},
    ("PodSecurityContext", "windowsOptions"): {"securityContext": {"windowsOptions": {"runAsUserName": "x"}}},
    ("SecurityContext", "seLinuxOptions"): context(seLinuxOptions={"type": "t"}),
    ("SecurityContext", "windowsOptions"): context(windowsOptions={"hostProcess": True}),
    ("SecurityContext", "procMount"): context(procMount="Unmasked"),
    ("SecurityContext", "allowPrivilegeEscalation"): context(allowPrivilegeEscalation=False),
    ("SecurityContext", "readOnlyRootFilesystem"): context(readOnlyRootFilesystem=True),
    ("ContainerPort", "hostPort"): container(ports=[{"containerPort": 80, "hostPort": 8080}]),
    ("ContainerPort", "hostIP"): container(ports=[{"containerPort": 80, "hostPort": 80, "hostIP": "127.0.0.1"}]),
    ("EmptyDirVolumeSource", "mode"): volume(emptyDir={"mode": 0o700}),
    ("ConfigMapVolumeSource", "defaultUser"): volume(configMap={"name": "m", "optional": True, "defaultUser": 7}),
    ("SecretVolumeSource", "defaultUser"): volume(secret={"secretName": "s", "optional": True, "defaultUser": 7}),
    ("DownwardAPIVolumeSource", "defaultUser"): unmounted(downwardAPI={"items": [], "defaultUser": 7}),
    ("DownwardAPIVolumeFile", "user"): unmounted(downwardAPI={"items": [_DOWNWARD]}),
    ("KeyToPath", "user"): volume(configMap={"name": "m", "optional": True, "items": [_ITEM]}),
    ("ProjectedVolumeSource", "defaultUser"): unmounted(projected={"sources": [], "defaultUser": 7}),
    ("ServiceAccountTokenProjection", "user"): unmounted(
        projected={"sources": [{"serviceAccountToken": {"path": "token", "user": 7}}]}
    ),
    ("ClusterTrustBundleProjection", "user"): unmounted(
        projected={"sources": [{"clusterTrustBundle": {"name": "b", "path": "ca", "user": 7}}]}
    ),
}  # fmt: skip

#: A spec as kube-apiserver 1.36 writes it for a pod whose author said next to nothing: no word about it is due.
PLAIN: Json = {
    "containers": [{
        "name": "main", "image": "busybox:1", "imagePullPolicy": "IfNotPresent", "command": ["true"],
        "resources": {"limits": {"cpu": "1", "memory": "64Mi"}, "requests": {"cpu": "1", "memory": "64Mi"}},
        "ports": [{"containerPort": 80, "protocol": "TCP"}],
        "resizePolicy": [{"resourceName": "cpu", "restartPolicy": "NotRequired"}],
        "securityContext": {"privileged": False, "allowPrivilegeEscalation": False, "runAsNonRoot": True,
                            "procMount": "Default", "capabilities": {"drop": ["ALL"]},
                            "seccompProfile": {"type": "RuntimeDefault"}},
        "livenessProbe": {"grpc": {"port": 80, "service": ""}, "timeoutSeconds": 1},
        "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
        "volumeMounts": [{"name": "t", "mountPath": "/t", "readOnly": True, "recursiveReadOnly": "Disabled"}],
    }],
    "volumes": [{"name": "t", "emptyDir": {}}],
    "dnsPolicy": "ClusterFirst", "enableServiceLinks": True, "preemptionPolicy": "PreemptLowerPriority", "priority": 0,
    "hostNetwork": True, "hostUsers": False, "os": {"name": "linux"}, "restartPolicy": "Always",
    "schedulerName": "default-scheduler", "securityContext": {}, "serviceAccount": "default",
    "serviceAccountName": "default", "subdomain": "s", "terminationGracePeriodSeconds": 30,
    "tolerations": [{"key": "k", "operator": "Exists"}],
}  # fmt: skip
