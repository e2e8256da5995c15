"""What pytest is told to overlook: what libraries leave to the collector, and nothing of ours."""

import warnings

import pytest


@pytest.mark.parametrize(
    "message",
    [
        "unclosed transport <_SelectorSocketTransport fd=7>",
        "unclosed <socket.socket fd=7>",
        "unclosed event loop <_UnixSelectorEventLoop>",
        "Unclosed AIOKafkaProducer <x>",
        "loop is closed",
    ],
)
def test_what_libraries_leave_open_fails_no_innocent_test(message: str) -> None:
    warnings.warn(message, ResourceWarning, stacklevel=1)


@pytest.mark.parametrize("message", ["unclosed file <_io.TextIOWrapper>", "subprocess 7 is alive"])
def test_what_we_leave_open_fails(message: str) -> None:
    with pytest.raises(ResourceWarning):
        warnings.warn(message, ResourceWarning, stacklevel=1)
