"""What pods are told of the cluster's Services: names and values as kubelet's envvars_test.go has them."""

from typing import Any

from interlink.vk.apiserver.errors import ForbiddenError
from interlink.vk.services import Service, Services, apiserver_at

Json = dict[str, Any]
ENVIRON = {"KUBERNETES_SERVICE_HOST": "10.0.0.9", "HOME": "/"}


def service(name: str, address: str, *ports: Json, namespace: str = "ns", **spec: Any) -> Service:
    metadata = {"name": name, "namespace": namespace, "uid": f"{namespace}-{name}"}
    return Service.from_object({"metadata": metadata, "spec": {"clusterIP": address, "ports": list(ports), **spec}})


WEB = {"port": 80, "protocol": "TCP"}
KUBERNETES = service("kubernetes", "10.96.0.1", {"name": "https", "port": 443}, namespace="default")


def test_the_names_of_one_service() -> None:
    found = service("abc-1.2", "1.2.3.4", {"name": "u-d-p", "port": 8081, "protocol": "UDP"}, {"name": "t", "port": 82})
    assert found.variables() == {
        "ABC_1_2_SERVICE_HOST": "1.2.3.4",
        "ABC_1_2_SERVICE_PORT": "8081",
        "ABC_1_2_SERVICE_PORT_U_D_P": "8081",
        "ABC_1_2_SERVICE_PORT_T": "82",
        "ABC_1_2_PORT": "udp://1.2.3.4:8081",
        "ABC_1_2_PORT_8081_UDP": "udp://1.2.3.4:8081",
        "ABC_1_2_PORT_8081_UDP_PROTO": "udp",
        "ABC_1_2_PORT_8081_UDP_PORT": "8081",
        "ABC_1_2_PORT_8081_UDP_ADDR": "1.2.3.4",
        "ABC_1_2_PORT_82_TCP": "tcp://1.2.3.4:82",
        "ABC_1_2_PORT_82_TCP_PROTO": "tcp",
        "ABC_1_2_PORT_82_TCP_PORT": "82",
        "ABC_1_2_PORT_82_TCP_ADDR": "1.2.3.4",
    }


def test_an_address_of_ipv6_is_in_brackets_where_a_port_follows() -> None:
    found = service("super-ipv6", "2001:DB8::", {"port": 8084, "protocol": "UDP"}).variables()
    assert found["SUPER_IPV6_SERVICE_HOST"] == found["SUPER_IPV6_PORT_8084_UDP_ADDR"] == "2001:DB8::"
    assert found["SUPER_IPV6_PORT"] == "udp://[2001:DB8::]:8084"


def test_headless_and_external_services_are_not_told_of() -> None:
    assert not service("headless", "None", WEB).variables()
    assert not service("external", "", type="ExternalName", externalName="x.example").variables()
    assert "_1A_SERVICE_HOST" in service("1a", "1.1.1.1", WEB).variables()


def test_a_pod_is_told_of_its_namespace_and_of_the_api_server() -> None:
    services = Services(None, ENVIRON)
    services.replace([KUBERNETES, service("web", "1.1.1.1", WEB), service("other", "2.2.2.2", WEB, namespace="else")])
    linked, bare = services.variables("ns", links=True), services.variables("ns", links=False)
    assert linked["WEB_SERVICE_HOST"] == "1.1.1.1"
    assert linked["KUBERNETES_SERVICE_HOST"] == bare["KUBERNETES_SERVICE_HOST"] == "10.96.0.1"
    assert bare["KUBERNETES_PORT_443_TCP_ADDR"] == "10.96.0.1"
    assert "OTHER_SERVICE_HOST" not in linked
    assert "WEB_SERVICE_HOST" not in bare
    services.remove(service("web", "1.1.1.1", WEB))
    services.upsert(service("new", "3.3.3.3", WEB))
    assert {"WEB_SERVICE_HOST", "NEW_SERVICE_HOST"} & set(services.variables("ns", links=True)) == {"NEW_SERVICE_HOST"}


def test_a_namespace_s_own_kubernetes_service_comes_before_the_cluster_s() -> None:
    services = Services(None, ENVIRON)
    services.replace([KUBERNETES, service("kubernetes", "5.5.5.5", WEB)])
    assert services.variables("ns", links=True)["KUBERNETES_SERVICE_HOST"] == "5.5.5.5"
    assert services.variables("ns", links=False)["KUBERNETES_SERVICE_HOST"] == "10.96.0.1"


def test_where_compute_nodes_reach_the_api_server_counts() -> None:
    services = Services(apiserver_at("api.example", 6443), ENVIRON)
    services.replace([KUBERNETES])
    for namespace in ("ns", "default"):
        found = services.variables(namespace, links=True)
        assert found["KUBERNETES_SERVICE_HOST"] == "api.example"
        assert found["KUBERNETES_SERVICE_PORT"] == found["KUBERNETES_SERVICE_PORT_HTTPS"] == "6443"
        assert found["KUBERNETES_PORT"] == "tcp://api.example:6443"


def test_what_may_not_be_listed_is_done_without() -> None:
    services, told = Services(None, ENVIRON), list[str]()
    services.listeners.append(lambda: told.append("known"))
    assert not services.known
    services.refused(ForbiddenError("services is forbidden"))
    services.refused(ForbiddenError("services is forbidden"))
    assert services.known
    assert told == ["known"]
    assert services.variables("ns", links=True) == {"KUBERNETES_SERVICE_HOST": "10.0.0.9"}
