"""Addresses of services: the two forms a configuration may use, and whether others can reach them."""

from pathlib import Path

import pytest

from interlink.http.address import Address, AddressError


def test_a_unix_address_is_its_path_and_local() -> None:
    address = Address.parse("unix:///run/x.sock", 1)
    assert address.path == Path("/run/x.sock")
    assert address.is_local
    assert str(address) == "unix:///run/x.sock"


@pytest.mark.parametrize(
    ("url", "text", "local"),
    [
        ("http://127.0.0.1", "http://127.0.0.1:3000", True),
        ("http://localhost", "http://localhost:3000", True),
        ("http://0.0.0.0", "http://0.0.0.0:3000", False),
        ("https://edge.example:8443", "https://edge.example:8443", False),
    ],
)
def test_a_tcp_address_takes_the_port_of_the_url_before_the_key(url: str, text: str, local: bool) -> None:
    address = Address.parse(url, 3000)
    assert str(address) == text
    assert address.is_local is local


@pytest.mark.parametrize("url", ["", "edge:3000", "ftp://edge", "http://", "unix://relative", "http://edge:port"])
def test_anything_else_is_refused_with_the_forms_that_work(url: str) -> None:
    with pytest.raises(AddressError, match="write http://HOST, https://HOST or unix:///PATH"):
        Address.parse(url, 3000)
