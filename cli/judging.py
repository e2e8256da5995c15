"""Stage 1 as the settings say, for the worker and for a replay; without Faust, which is heavy."""

import logging
from dataclasses import replace
from typing import Final

from detections.rule import Detector
from pipeline.enrich import Lookups, Terms
from pipeline.lookups import LookupPaths
from pipeline.stage import Stage
from runtime.log import event
from runtime.settings import PipelineSettings

log: Final = logging.getLogger("audit.pipeline")


def build_stage(
    settings: PipelineSettings,
    lookups: Lookups,
    detector: Detector,
    incarnation: str,
    canary_key: bytes = b"",
) -> Stage:
    """Return stage 1 as the settings say; `incarnation` is that of audit.events."""

    def told(bug: Exception, where: str) -> None:
        event(log, "an event met a bug and is in quarantine", error=bug, coordinates=where)

    return Stage(
        lookups,
        detector,
        lambda _topic: incarnation,
        replace(terms_of(settings), canary_key=canary_key),
        on_bug=told,
    )


def terms_of(settings: PipelineSettings) -> Terms:
    """Return the terms of judging as the settings say."""
    return Terms(
        is_strict=settings.strict,
        future_ms_max=settings.future_tolerance_s * 1000,
        late_ms_min=settings.accept_window_s * 1000,
        delayed_ms_min=settings.grace_s * 1000,
    )


def lookup_paths(settings: PipelineSettings) -> LookupPaths:
    """Return where the lookups' files are."""
    return LookupPaths(settings.policy_file, settings.geo_files, settings.directory_file)
