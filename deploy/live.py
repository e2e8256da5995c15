"""Ends with 0 if a service of this container answers /live, and none that listens refuses it."""  # noqa: INP001 - a script

import http.client
import sys

# The health ports of pipeline, sink, alerts and API as runtime/settings.py has them; a test holds
# the two together. Standard library only: this starts every ten seconds.
PORTS = (6066, 6067, 6068, 6069)
TIMEOUT_S = 3.0
OK = 200


def is_live(port: int) -> bool | None:
    """Ask one port; None if nothing listens there."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", "/live")
        return connection.getresponse().status == OK
    except ConnectionRefusedError:
        return None
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def main() -> int:
    """Return the exit status."""
    answers = [answer for port in PORTS if (answer := is_live(port)) is not None]
    return 0 if answers and all(answers) else 1


if __name__ == "__main__":
    sys.exit(main())
