"""`audit up`: everything on one machine, on loopback, in one data folder."""

import asyncio
import contextlib
import importlib
import signal
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click

from cli.canary_key import CANARY_KEY
from cli.client import Client, Refused
from cli.context import CLIENT_NAMES, data_option, ends_well
from cli.terminal import err, out
from console.web.auth import load_token
from runtime.broker import EmbeddedKafka, ensure_installed
from runtime.configuration import Given, check, gather, load
from runtime.data_dir import DataDir
from runtime.environment import process_environment
from runtime.lifecycle import PARENT_FD
from runtime.ports import LOOPBACK
from runtime.probe import ready_probe
from runtime.settings import ALL, AlertSettings, ApiSettings, OidcSettings
from runtime.supervisor import BrokerChild, Child, Command, CommandSpec, Supervisor
from schemas.errors import Misconfigured, Unavailable

PORTS: Final = ("kafka", "controller", "api", "pipeline-health", "store-health", "sample-health")
READY_TIMEOUT_S: Final = 90.0
LINK_TIMEOUT_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Layout:
    """Where things are: the folder, and a port for each name in `PORTS`."""

    data: Path
    ports: Mapping[str, int]

    @property
    def bootstrap(self) -> str:
        """Address of the broker."""
        return f"{LOOPBACK}:{self.ports['kafka']}"

    @property
    def api(self) -> str:
        """Address of the API."""
        return f"http://{LOOPBACK}:{self.ports['api']}"


@click.command()
@data_option
@click.option("--sample", is_flag=True, help="Play sample traffic of the DutyCall platform.")
@click.option("--port", type=click.IntRange(1, 65_535), help="The API's port; any free by default.")
@click.option("--kafka-port", type=click.IntRange(1, 65_535), help="Port of Kafka.")
@ends_well
def up(*, data: Path, sample: bool, port: int | None, kafka_port: int | None) -> None:
    """Start Kafka, pipeline, store and API on loopback; Ctrl-C stops them all.

    Everything is kept in the data folder; started again it goes on where it was.
    """
    environment = process_environment()
    given = gather(environment)
    _refuse_wrong(given, port, kafka_port)
    began = time.monotonic()
    with DataDir(data) as folder:
        token_file = load(ApiSettings, given).token_file or folder.path / "token"
        load_token(token_file)
        load_token(folder.path / CANARY_KEY)  # before those who need it start, both at once
        wanted = dict.fromkeys(PORTS) | {"api": port, "kafka": kafka_port}
        layout = Layout(folder.path, folder.ports(wanted))
        ensure_installed()
        children = _children(layout, folder, environment, sample=sample)
        supervisor = Supervisor(children, _announce)
        asyncio.run(supervisor.run(lambda: _tell(layout, token_file, time.monotonic() - began)))


def _refuse_wrong(given: Given, port: int | None, kafka_port: int | None) -> None:
    """Raise `Misconfigured` for all that a child would only say in its log."""
    _rows, problems = check(ALL, given, known=CLIENT_NAMES)
    if port is not None and port == kafka_port:
        problems.append(f"--port and --kafka-port are both {port}: choose another for one of them")
    if problems:
        raise Misconfigured("\n".join(problems))
    alerts = load(AlertSettings, given)
    if alerts.targets or alerts.routes:
        # only then: what reads them takes long to import
        importlib.import_module("cli.alert_policy").alert_policy(alerts)
    oidc = load(OidcSettings, given)
    if oidc.issuer:
        importlib.import_module("cli.people_service").provider_of(oidc)


def _children(
    layout: Layout, folder: DataDir, environment: Mapping[str, str], *, sample: bool
) -> list[Child]:
    broker = EmbeddedKafka(
        layout.data / "kafka",
        layout.ports["kafka"],
        layout.ports["controller"],
        death_signal=signal.SIGTERM,
    )
    common = {name: value for name, value in environment.items() if name != PARENT_FD}
    common |= {
        "AUDIT_DATA_DIR": str(layout.data),
        "AUDIT_KAFKA_BOOTSTRAP": layout.bootstrap,
        "AUDIT_STORE_DSN": f"chdb://{layout.data / 'store'}",
        "AUDIT_API_PORT": str(layout.ports["api"]),
        "AUDIT_PIPELINE_HEALTH_PORT": str(layout.ports["pipeline-health"]),
        "AUDIT_SINK_HEALTH_PORT": str(layout.ports["store-health"]),
    }
    children: list[Child] = [BrokerChild(broker)]
    services = [
        ("pipeline", ["serve", "pipeline", "--make-topics"], "pipeline-health"),
        ("store", ["serve", "store"], "store-health"),
    ]
    if sample:
        services.append(("sample", ["sample"], "sample-health"))
    for name, words, port in services:
        argv = [sys.executable, "-m", "cli", *words]
        if name == "sample":
            argv += ["--health-port", str(layout.ports[port])]
        probe = ready_probe(LOOPBACK, layout.ports[port])
        spec = CommandSpec(name, argv, common, probe, READY_TIMEOUT_S)
        children.append(Command(spec, folder.logs))
    return children


def _announce(line: str) -> None:
    with contextlib.suppress(OSError):  # the terminal was closed: that must not stop the stop
        err.print(line, markup=False, soft_wrap=True)


def _login_link(layout: Layout, token_file: Path) -> str:
    """Return a link that logs in once; or, where the API gives none yet, how to get one."""
    try:
        client = Client(layout.api, token_file, LINK_TIMEOUT_S)
        return str(client.post("/people/login-links", {})["link"])
    except (Unavailable, Misconfigured, Refused):
        return f"{layout.api}/login   (audit login-link gives a link)"


def _tell(layout: Layout, token_file: Path, took_s: float) -> None:
    """Say in a few lines what runs where, and what to try."""
    data = _shown(layout.data)
    option = "" if data == ".data" else f" --data {data}"
    lines = (
        f"\n[bold]Audit Stream is up[/] ({took_s:.1f} s), on loopback, all kept in {data}",
        f"  console   {_login_link(layout, token_file)}",
        "            works once, for 15 minutes; another: audit login-link" + option,
        f"  Kafka     {layout.bootstrap}   topics audit.{{events,records,signals,state,alerts}}",
        f"  API       {layout.api}/v1   token in {data}/token",
        f"  metrics   http://{LOOPBACK}:{layout.ports['pipeline-health']}/metrics   pipeline",
        f"            http://{LOOPBACK}:{layout.ports['store-health']}/metrics   store",
        f"  logs      {data}/logs",
        "\nTry, in another terminal (. .venv/bin/activate first):",
        f"  audit search{option}",
        f"  audit search --action 'authentication.login.*' --result failure{option}",
        f"  audit alerts --follow{option}",
        f"  audit ledger{option}",
        f"  audit doctor{option}",
        "\nCtrl-C stops everything.",
    )
    for line in lines:
        out.print(line, soft_wrap=True)


def _shown(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
