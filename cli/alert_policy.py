"""From the settings of alerts to targets and policy: the routes file, the secret, the rates."""

from pydantic import SecretStr

from consumers.alerts.routes_file import load_routes, read_secret
from consumers.alerts.routing import Routing, everyone
from consumers.alerts.service import Policy
from consumers.alerts.targets import Target, parse_targets
from consumers.alerts.throttle import Rate
from runtime.settings import AlertSettings


def alert_policy(settings: AlertSettings) -> tuple[tuple[Target, ...], Policy]:
    """Return all targets, and who hears what. Raises `Misconfigured`."""
    secret: SecretStr | None = settings.webhook_secret
    if settings.webhook_secret_file is not None:
        secret = read_secret(settings.webhook_secret_file)
    targets = parse_targets(settings.targets, secret)
    rule_rate = Rate(settings.rule_per_minute, settings.rule_burst)
    target_rate = Rate(settings.target_per_minute, settings.target_burst)
    if settings.routes is not None:
        targets, routing = load_routes(settings.routes, targets, secret, (rule_rate, target_rate))
    else:
        routes = everyone([target.name for target in targets]).routes
        routing = Routing(routes, rule_rate, target_rate)
    policy = Policy(
        routing=routing,
        group_window_ms=settings.group_window_s * 1000,
        repage_every=settings.repage_every,
        group_age_ms_max=settings.group_age_s_max * 1000,
        link=settings.link,
    )
    return targets, policy
