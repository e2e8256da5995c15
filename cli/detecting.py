"""The rules at work: compiled from what ships and from folders, and again when those change."""

import logging
import os
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from cli.rule_folder import NO_RULES, SUFFIXES, Folder, read_folders, shipped
from detections.sigma.bulk import collector_paused
from detections.sigma.detector import SigmaDetector
from detections.sigma.load import load_rules
from detections.sigma.ruleset import RuleSet
from detections.stateful.extractor import Extractor
from detections.stateful.keeper import Keeper
from detections.stateful.memory import Terms
from runtime.log import event
from runtime.memory import keep
from runtime.settings import PipelineSettings
from schemas.alert import Alert, alert_id
from schemas.errors import Misconfigured

REFUSED_RULE: Final = "audit-rules-refused"
REFUSALS_SHOWN: Final = 5
SUMMARY_MAX: Final = 1_024
Signature = tuple[tuple[str, int, int], ...]

log: Final = logging.getLogger("audit.rules")


class Detecting(NamedTuple):
    """One rule set, ready for both stages; `refusals` say what of it is not at work, and why."""

    ruleset: RuleSet
    detector: SigmaDetector
    extractor: Extractor
    keeper: Keeper
    refusals: tuple[str, ...]

    @property
    def version(self) -> str:
        """The version of all rules together, as records and alerts carry it."""
        return self.ruleset.version


def stateful_terms(settings: PipelineSettings) -> Terms:
    """Return the terms of rules with a memory as the settings say."""
    return Terms(grace_ms=settings.grace_s * 1000, future_ms=settings.future_tolerance_s * 1000)


def compile_rules(folder: Folder, terms: Terms) -> Detecting:
    """Compile everything; what can't be is among the refusals, and the rest works without it."""
    ruleset = load_rules(folder.rules, exceptions=folder.exceptions)
    keeper = Keeper(ruleset, terms)
    refusals = [str(refusal) for refusal in ruleset.refusals]
    refusals += [f"{rule}: {reason}" for rule, reason in keeper.refused.items()]
    return Detecting(
        ruleset, SigmaDetector(ruleset), Extractor(ruleset, terms), keeper, tuple(refusals)
    )


class RuleWatch:
    """The rules as they are now. A change that breaks one is refused whole, and the old go on.

    For one thread at a time; it may be another one each time.
    """

    def __init__(self, dirs: Sequence[Path], settings: PipelineSettings) -> None:
        self._dirs = self.dirs = tuple(dirs)
        self._terms = stateful_terms(settings)
        self._is_on = settings.rules
        # None: they could not be looked at, and whatever comes next is news
        self._taken: Signature | None = None
        self._seen: Signature | None = None
        self._taken = self._seen = look(self._dirs)
        self.current = self._compile()
        self.reloads_total = 0
        self.refused_total = 0
        self.refused: tuple[str, ...] = self.current.refusals
        for refusal in self.refused:
            event(log, "a rule is refused", level=logging.WARNING, reason=refusal)

    def refresh(self) -> Detecting | None:
        """Return the new rules if the folders have changed, and these are no worse, else None.

        Call it every second: a change is compiled once nothing moves any more, so that half a
        checkout is not. Never raises for what it finds; `refused` then says what was wrong.
        """
        if not self._is_on:
            return None
        try:
            seen = self._look()
            is_settled, self._seen = seen == self._seen, seen
            if seen == self._taken or not is_settled:
                return None
            self._taken = seen  # what is broken is said once, not at every look
            with collector_paused():
                fresh = self._compile()
                keep()  # before the collector wakes up: it would look through all of them
        except Misconfigured as error:
            self._refuse((str(error),))
            return None
        known = set(map(_unplaced, self.current.refusals))
        if worse := tuple(text for text in fresh.refusals if _unplaced(text) not in known):
            self._refuse(worse)
            return None
        self.current, self.refused = fresh, fresh.refusals
        self.reloads_total += 1
        return fresh

    def _look(self) -> Signature:
        try:
            return look(self._dirs)
        except Misconfigured:
            self._taken = self._seen = None
            raise

    def _compile(self) -> Detecting:
        folder = shipped() + read_folders(self._dirs) if self._is_on else NO_RULES
        return compile_rules(folder, self._terms)

    def _refuse(self, refusals: tuple[str, ...]) -> None:
        if refusals == self.refused:
            return
        self.refused_total += 1
        self.refused = refusals
        for refusal in refusals:
            event(log, "new rules are refused", level=logging.WARNING, reason=refusal)


def lint_command(dirs: Sequence[Path]) -> str:
    """Return the command that names what is wrong with the rules of these folders."""
    named = "".join(f" --dir {shlex.quote(str(folder.resolve()))}" for folder in dirs)
    return f"audit rules lint{named}"


def refusal_alert(refusals: Sequence[str], at: str, dirs: Sequence[Path] = ()) -> Alert:
    """Say that rules of these folders are not at work; the same for the same refusals."""
    text = "; ".join(refusals[:REFUSALS_SHOWN])
    more = f"; and {len(refusals) - REFUSALS_SHOWN} more" if len(refusals) > REFUSALS_SHOWN else ""
    return Alert(
        alert_id=alert_id(REFUSED_RULE, 1, "rules", "\n".join(refusals)),
        rule_id=REFUSED_RULE,
        rule_version=1,
        title="Detection rules were refused",
        severity="high",
        tenant="default",
        group="rules",
        summary=f"Not at work: {text}{more}"[:SUMMARY_MAX],
        runbook=f"{lint_command(dirs)}\nMend the file; it is taken over within seconds.",
        occurred=at,
        recorded=at,
    )


def _unplaced(refusal: str) -> str:
    """Leave the line out of "path:line: rule: reason": an edit above it moves it."""
    path, _, rest = refusal.partition(":")
    return path + rest.lstrip("0123456789")


def look(dirs: Sequence[Path]) -> Signature:
    """Return what tells one state of the folders from another; costs a `stat` a file.

    Raises `Misconfigured` for what can't be looked at.
    """
    return tuple(sorted(seen for folder in dirs for seen in _walk(folder)))


def _walk(folder: Path) -> Iterator[tuple[str, int, int]]:
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            if not name.endswith(SUFFIXES) or name.startswith("."):
                continue
            path = Path(parent, name)
            try:
                found = path.stat()
            except FileNotFoundError:
                continue  # an editor replaces it just now: the next look sees the new one
            except OSError as error:
                raise Misconfigured(f"rules in {path}: {error.strerror}") from error
            # not mtime: a file that may be read at last has changed, too
            yield str(path), found.st_size, found.st_ctime_ns
