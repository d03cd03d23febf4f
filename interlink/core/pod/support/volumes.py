"""The rows of v1.Volume, its sources and v1.VolumeMount: data, read by ``look`` and ``page``."""

from interlink.core.pod.support.model import Row, only

_OWNER = "has no effect: all files are the job's user's"
_MISSING = "missing: FailedMount, and the pod waits until it is there"
_OPTIONAL = "empty where it is missing"
_MODE = "as it is; 0644 where nobody says one"
_OF_TYPE = 'volume "…" is of type {}, which this edge cannot bring to the site; it can: …'
#: The sources of v1.Volume that are refused whole, by their name.
REFUSED_SOURCES = (
    "awsElasticBlockStore", "azureDisk", "azureFile", "cephfs", "cinder", "csi", "ephemeral", "fc", "flexVolume",
    "flocker", "gcePersistentDisk", "gitRepo", "glusterfs", "image", "iscsi", "nfs", "photonPersistentDisk",
    "portworxVolume", "quobyte", "rbd", "scaleIO", "storageos", "vsphereVolume",
)  # fmt: skip
_SINCE = {"image": "1.31"}

_KEYS = (
    Row(field="items", of="KeyToPath", done="these keys alone, by their paths"),
    Row(field="optional", done=_OPTIONAL),
)
_DEFAULTS = (
    Row(field="defaultMode", done=_MODE),
    Row(field="defaultUser", since="1.37", ignored=_OWNER),
)

VOLUME_TYPES: dict[str, tuple[Row, ...]] = {
    "Volume": (
        Row(field="name", done="a DNS label"),
        Row(field="emptyDir", of="EmptyDirVolumeSource", done="a folder of the job's own"),
        Row(field="configMap", of="ConfigMapVolumeSource", done="files, kept current"),
        Row(field="secret", of="SecretVolumeSource", done="likewise"),
        Row(field="projected", of="ProjectedVolumeSource", done="likewise"),
        Row(field="downwardAPI", of="DownwardAPIVolumeSource", done="likewise"),
        Row(field="hostPath", of="HostPathVolumeSource", done="a path of the compute node"),
        Row(field="persistentVolumeClaim", of="PersistentVolumeClaimVolumeSource", done="a path of the site, by the table PersistentVolumeClaims"),
        *(Row(field=name, elsewhere=True, refused=_OF_TYPE.format(name), since=_SINCE.get(name, "")) for name in REFUSED_SOURCES),
    ),
    "EmptyDirVolumeSource": (
        Row(field="medium", elsewhere=True, done="disk, or Memory", refused='volume "…": an emptyDir of medium … is not possible here'),
        Row(field="sizeLimit", done="counted; over it the pod is evicted, in the kubelet's words"),
        Row(field="mode", since="1.37", ignored="has no effect: one user has all of the folder"),
    ),
    "ConfigMapVolumeSource": (Row(field="name", done=_MISSING), *_KEYS, *_DEFAULTS),
    "SecretVolumeSource": (Row(field="secretName", done=_MISSING), *_KEYS, *_DEFAULTS),
    "DownwardAPIVolumeSource": (Row(field="items", of="DownwardAPIVolumeFile", done="kept current"), *_DEFAULTS),
    "DownwardAPIVolumeFile": (
        Row(field="path", done="below the volume"),
        Row(field="fieldRef", of="ObjectFieldSelector", done="labels and annotations, name, namespace, UID"),
        Row(field="resourceFieldRef", of="ResourceFieldSelector", done="as in env"),
        Row(field="mode", done=_MODE),
        Row(field="user", since="1.37", ignored=_OWNER),
    ),
    "KeyToPath": (
        Row(field="key", done=_MISSING),
        Row(field="path", done="below the volume"),
        Row(field="mode", done=_MODE),
        Row(field="user", since="1.37", ignored=_OWNER),
    ),
    "ProjectedVolumeSource": (Row(field="sources", of="VolumeProjection", done="all in one folder"), *_DEFAULTS),
    "VolumeProjection": (
        Row(field="configMap", of="ConfigMapProjection", done="as the volume"),
        Row(field="secret", of="SecretProjection", done="as the volume"),
        Row(field="downwardAPI", of="DownwardAPIProjection", done="as the volume"),
        Row(field="serviceAccountToken", of="ServiceAccountTokenProjection", done="by TokenRequest, renewed before it ends"),
        Row(field="clusterTrustBundle", of="ClusterTrustBundleProjection", done="where kube-apiserver serves ClusterTrustBundles"),
        Row(field="podCertificate", since="1.34", elsewhere=True, refused='volume "…": it projects podCertificate, which is not supported on this node'),
    ),
    "ConfigMapProjection": (Row(field="name", done=_MISSING), *_KEYS),
    "SecretProjection": (Row(field="name", done=_MISSING), *_KEYS),
    "DownwardAPIProjection": (Row(field="items", of="DownwardAPIVolumeFile", done="kept current"),),
    "ServiceAccountTokenProjection": (
        Row(field="audience", done="empty: kube-apiserver's own"),
        Row(field="expirationSeconds", done="3600 where there is none"),
        Row(field="path", done="below the volume"),
        Row(field="user", since="1.37", ignored=_OWNER),
    ),
    "ClusterTrustBundleProjection": (
        Row(field="name", done="one bundle"),
        Row(field="signerName", done="all bundles of a signer"),
        Row(field="labelSelector", of="LabelSelector", done="of these, those with the labels"),
        Row(field="optional", done=_OPTIONAL),
        Row(field="path", done="below the volume"),
        Row(field="user", since="1.37", ignored=_OWNER),
    ),
    "LabelSelector": (
        Row(field="matchLabels", done="all of them"),
        Row(field="matchExpressions", of="LabelSelectorRequirement", done="all of them"),
    ),
    "LabelSelectorRequirement": (
        Row(field="key", done="a label"),
        Row(field="operator", done="In, NotIn, Exists, DoesNotExist"),
        Row(field="values", done="of In and NotIn"),
    ),
    "HostPathVolumeSource": (
        Row(field="path", elsewhere=True, done="what `HostPaths` opens", refused='volume "…": hostPath … is not open to pods on this site…'),
        Row(field="type", elsewhere=True, done="checked on the compute node; devices as the runtime lets them be opened", refused='volume "…": a hostPath of type … is not possible under …'),
    ),
    "PersistentVolumeClaimVolumeSource": (
        Row(field="claimName", elsewhere=True, done="the site looks at the name alone", refused='volume "…": PersistentVolumeClaim "…" of namespace "…" has no place on this site…'),
        Row(field="readOnly", done="nobody can write"),
    ),
    "VolumeMount": (
        Row(field="name", done="one of the pod's volumes"),
        Row(field="mountPath", done="an absolute path"),
        Row(field="readOnly", done="yes; straight on the host (runtime none) it cannot be enforced"),
        Row(field="subPath", done="made where it is missing; does not leave the volume"),
        Row(field="subPathExpr", done="with the container's variables"),
        Row(field="mountPropagation", elsewhere=True, done="as far as the runtime does it", refused='container "…": mountPropagation … of volume "…" is not possible under …'),
        Row(field="recursiveReadOnly", refused="is not possible: what lies mounted below a volume is mounted as it is", when=only("Enabled"), done="Disabled; IfPossible is what it says"),
        Row(field="bindMountOptions", since="1.37", refused="is not supported: mounts have the options of the site"),
    ),
}  # fmt: skip
