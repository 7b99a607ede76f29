"""No test may leave this machine or touch what the user has in caches."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    "reach",
    [
        pytest.param(lambda s: s.connect(("192.0.2.1", 80)), id="connect"),
        pytest.param(lambda s: s.connect_ex(("192.0.2.1", 80)), id="connect_ex"),
        pytest.param(lambda s: s.sendto(b"x", ("192.0.2.1", 80)), id="sendto"),
        pytest.param(lambda _: socket.getaddrinfo("example.org", 80), id="getaddrinfo"),
        pytest.param(lambda _: socket.create_connection(("example.org", 80)), id="by name"),
    ],
)
def test_the_network_is_out_of_reach(reach: Callable[[socket.socket], Any]) -> None:
    with (
        socket.socket() as client,
        pytest.raises(Exception, match=r"192\.0\.2\.1|example\.org") as e,
    ):
        reach(client)

    assert e.typename == "NetworkError"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_this_machine_can_be_reached(host: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        with socket.create_connection((host, port), timeout=5) as client:
            assert client.getpeername() == ("127.0.0.1", port)


def test_unix_sockets_can_be_reached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # a socket's path may have 108 bytes only
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        server.bind("s")
        server.listen()

        client.connect("s")

        assert client.getpeername() == "s"


def test_the_users_caches_and_tokens_are_out_of_sight() -> None:
    assert os.environ["HF_HUB_OFFLINE"] == "1"
    assert Path(os.environ["HF_HOME"]).name.startswith("hf-home-")
    assert [name for name in os.environ if name.endswith("_TOKEN") and name.startswith("HF")] == []


def test_a_command_is_run_as_a_process_with_its_bytes(run_cli: Callable[..., Any]) -> None:
    done = run_cli(["-e", "ascii"], module="base64", input=b"hi")

    assert (done.code, done.out) == (1, b"")
    assert b"ascii" in done.err


@given(st.integers())
def test_properties_may_use_autouse_fixtures(number: int) -> None:
    assert number == int(str(number))
