"""Rules change while they are at work; what is broken is refused, and what was goes on."""

import gc
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from weakref import ref

import pytest

from cli.detecting import (
    REFUSED_RULE,
    Detecting,
    RuleWatch,
    compile_rules,
    refusal_alert,
    stateful_terms,
)
from cli.rule_folder import shipped
from runtime.settings import PipelineSettings
from schemas.errors import Misconfigured

GOOD = """
title: A deed of ours
id: 00000000-0000-4000-8000-00000000000{number}
name: deed-{number}
logsource: {{product: dutycall}}
detection:
  selection: {{action: our.own.deed}}
  condition: selection
level: high
"""
BROKEN = "title: x\nlogsource: {product: dutycall}\ndetection: {a: {action|nonsense: 1}}\n"


def rule(number: int) -> str:
    return GOOD.format(number=number)


def has(detecting: Detecting, name: str) -> bool:
    return any(rule.rule_id == name for rule in detecting.ruleset.rules)


def settle(watch: RuleWatch) -> Detecting | None:
    """Look twice: a change is taken over once nothing moves any more."""
    first = watch.refresh()
    assert first is None
    return watch.refresh()


@pytest.fixture
def watch(tmp_path: Path) -> RuleWatch:
    (tmp_path / "one.yml").write_text(rule(1))
    return RuleWatch([tmp_path], PipelineSettings())


def test_what_ships_is_at_work_beside_the_folders(watch: RuleWatch) -> None:
    assert has(watch.current, "deed-1")
    assert len(watch.current.ruleset.correlations) > 0
    assert watch.refused == ()
    assert watch.refresh() is None


def test_change_is_taken_over_with_another_version(watch: RuleWatch, tmp_path: Path) -> None:
    before = watch.current.version
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep/two.yml").write_text(rule(2))
    fresh = settle(watch)
    assert fresh is not None
    assert has(fresh, "deed-1")
    assert has(fresh, "deed-2")
    assert fresh.version != before
    assert watch.current is fresh
    assert watch.reloads_total == 1


@pytest.fixture
def unfrozen() -> Iterator[None]:
    gc.collect()
    yield
    gc.unfreeze()


@pytest.mark.usefixtures("unfrozen")
def test_rules_that_are_replaced_go_without_the_collector(watch: RuleWatch, tmp_path: Path) -> None:
    """They are frozen: what the collector alone could free would stay for good."""
    old = watch.current
    parts: list[ref[Any]] = [
        ref(old.ruleset),
        ref(old.detector),
        ref(old.extractor),
        ref(old.keeper),
    ]
    parts += [ref(route.index) for route in old.detector.router.routes()]
    gc.disable()
    try:
        (tmp_path / "two.yml").write_text(rule(2))
        assert settle(watch) is not None
        del old
        assert [part() for part in parts if part() is not None] == []
    finally:
        gc.enable()


@pytest.mark.usefixtures("unfrozen")
def test_rules_at_work_are_not_looked_through_again(watch: RuleWatch, tmp_path: Path) -> None:
    (tmp_path / "two.yml").write_text(rule(2))
    fresh = settle(watch)
    assert fresh is not None
    looked_through = {id(thing) for thing in gc.get_objects()}
    assert id(fresh.detector.router) not in looked_through
    assert not looked_through & {id(tree) for tree in fresh.ruleset.rules}


def test_compiling_rules_leaves_nothing_for_the_collector() -> None:
    compile_rules(shipped(), stateful_terms(PipelineSettings()))  # what is cached is there then
    gc.collect()
    gc.disable()
    try:
        made = compile_rules(shipped(), stateful_terms(PipelineSettings()))
        assert gc.collect() < len(made.ruleset.rules)
    finally:
        gc.enable()


def test_folder_that_still_changes_is_waited_for(watch: RuleWatch, tmp_path: Path) -> None:
    for number in range(2, 6):
        (tmp_path / f"{number}.yml").write_text(rule(number))
        assert watch.refresh() is None
    fresh = watch.refresh()
    assert fresh is not None
    assert has(fresh, "deed-5")


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda d: (d / "bad.yml").write_text(BROKEN), id="no such modifier"),
        pytest.param(lambda d: (d / "one.yml").write_text("title: ["), id="no YAML"),
        pytest.param(lambda d: (d / "two.yml").write_text(rule(1)), id="an id twice"),
        pytest.param(lambda d: (d / "one.yml").write_bytes(b"\xff\xfe\x00"), id="no text"),
    ],
)
def test_rules_that_break_one_are_refused_whole(
    watch: RuleWatch, tmp_path: Path, spoil: Callable[[Path], object]
) -> None:
    before = watch.current
    spoil(tmp_path)
    (tmp_path / "good.yml").write_text(rule(7))
    assert settle(watch) is None
    assert watch.current is before
    assert watch.refused_total == 1
    assert any(".yml:" in refusal for refusal in watch.refused)
    assert settle(watch) is None
    assert watch.refused_total == 1, "said once, not at every look"


def test_mended_rules_are_taken_over(watch: RuleWatch, tmp_path: Path) -> None:
    (tmp_path / "bad.yml").write_text(BROKEN)
    assert settle(watch) is None
    (tmp_path / "bad.yml").write_text(rule(3))
    fresh = settle(watch)
    assert fresh is not None
    assert has(fresh, "deed-3")
    assert watch.refused == ()


def test_rule_that_was_never_good_keeps_no_other_from_changing(tmp_path: Path) -> None:
    (tmp_path / "bad.yml").write_text(BROKEN)
    (tmp_path / "one.yml").write_text(rule(1))
    watch = RuleWatch([tmp_path], PipelineSettings())
    assert has(watch.current, "deed-1")
    assert len(watch.refused) == 1
    (tmp_path / "two.yml").write_text(rule(2))
    (tmp_path / "bad.yml").write_text("# the fault is a line further down\n" + BROKEN)
    fresh = settle(watch)
    assert fresh is not None
    assert has(fresh, "deed-2")
    assert watch.refused_total == 0


def test_folder_that_goes_away_leaves_its_rules_at_work(watch: RuleWatch, tmp_path: Path) -> None:
    before = watch.current
    tmp_path.rename(tmp_path.with_name("elsewhere"))
    assert settle(watch) is None
    assert watch.current is before
    assert watch.refused_total == 1


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda path: path.symlink_to(path), id="a link to itself"),
        pytest.param(os.mkfifo, id="a FIFO"),
    ],
)
@pytest.mark.timeout(20)
def test_what_is_no_file_is_refused_until_it_is_gone(
    watch: RuleWatch, tmp_path: Path, spoil: Callable[[Path], object]
) -> None:
    before, odd = watch.current, tmp_path / "odd.yml"
    spoil(odd)
    assert settle(watch) is None
    assert watch.current is before
    assert any("odd.yml" in refusal for refusal in watch.refused)
    assert settle(watch) is None
    assert watch.refused_total == 1
    odd.unlink()
    assert settle(watch) is not None
    assert watch.refused == ()


def test_link_to_itself_is_a_wrong_setting_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "loop.yml").symlink_to(tmp_path / "loop.yml")
    with pytest.raises(Misconfigured, match="loop"):
        RuleWatch([tmp_path], PipelineSettings())


def test_file_whose_rights_change_is_looked_at_again(watch: RuleWatch, tmp_path: Path) -> None:
    (tmp_path / "one.yml").chmod(0o600)
    assert settle(watch) is not None


def test_folder_that_is_not_there_is_a_wrong_setting(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="nowhere"):
        RuleWatch([tmp_path / "nowhere"], PipelineSettings())


def test_no_rules_are_at_work_where_they_are_switched_off(tmp_path: Path) -> None:
    watch = RuleWatch([tmp_path], PipelineSettings(rules=False))
    assert watch.current.ruleset.rules == ()
    assert watch.current.keeper.refused == {}
    assert watch.refresh() is None


def test_alert_on_refused_rules_is_the_same_for_the_same_ones() -> None:
    refusals = [f"r{n}.yml:1: r{n}: wrong" for n in range(50)]
    alert = refusal_alert(refusals, "2026-01-01T00:00:00.000Z")
    assert alert.rule_id == REFUSED_RULE
    assert "r0.yml:1" in alert.summary
    assert "and 45 more" in alert.summary
    assert alert.alert_id == refusal_alert(refusals, "2026-02-01T00:00:00.000Z").alert_id
    assert alert.alert_id != refusal_alert(refusals[1:], "2026-01-01T00:00:00.000Z").alert_id


def test_alert_on_refused_rules_names_the_folder_to_look_at(tmp_path: Path) -> None:
    folder = tmp_path / "my rules"
    alert = refusal_alert(["r.yml:1: r: wrong"], "2026-01-01T00:00:00.000Z", [folder])
    assert alert.runbook.startswith(f"audit rules lint --dir '{folder}'\n")
