"""The history checker accepts what a right daemon can do, and catches each way to do wrong."""

from __future__ import annotations

import multiprocessing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from record_processor.testing.history import Handled, HistoryLog, HistoryReport, Mark, check_history
from record_processor.testing.tables import plan_changes, written_changes

SHARD = "shardId-1"


class Daemon:
    """A right daemon: handles a shard's records in order, checkpoints, restarts from its checkpoint."""

    def __init__(self, changes: int, keys: int, seed: int) -> None:
        self.records = plan_changes(changes, keys=keys, seed=seed)
        self.written = written_changes(self.records).per_key
        self.history: list[Handled | Mark] = []
        self.run = 0
        self.next = 0
        self.checkpoint = 0

    def handle(self, count: int) -> None:
        for place in range(self.next, min(self.next + count, len(self.records))):
            change = self.records[place]
            self.history.append(Handled(change.key, change.n, str(place + 1), SHARD, str(self.run)))
        self.next = min(self.next + count, len(self.records))

    def make_checkpoint(self) -> None:
        self.checkpoint = self.next
        details = {"sequence_number": str(self.checkpoint)}
        self.history.append(Mark("checkpoint", shard_id=SHARD, details=details))

    def restart(self) -> None:
        self.history.append(Mark("kill"))
        self.run += 1
        self.next = self.checkpoint

    def check(self) -> HistoryReport:
        return check_history(self.history, self.written)


@st.composite
def finished_daemons(draw: st.DrawFn, restarts: bool = True) -> Daemon:
    """Daemons that have handled everything, with some checkpoints and restarts on the way."""
    daemon = Daemon(draw(st.integers(2, 40)), draw(st.integers(1, 5)), draw(st.integers(0, 99)))
    steps = ["handle", "checkpoint", *(["restart"] if restarts else [])]
    for step in draw(st.lists(st.sampled_from(steps), max_size=20)):
        if step == "handle":
            daemon.handle(draw(st.integers(1, 6)))
        elif step == "checkpoint":
            daemon.make_checkpoint()
        else:
            daemon.restart()
    daemon.handle(len(daemon.records))
    return daemon


def _handled(daemon: Daemon) -> list[Handled]:
    return [entry for entry in daemon.history if isinstance(entry, Handled)]


@given(finished_daemons())
def test_a_right_history_is_clean(daemon: Daemon) -> None:
    """Restarts from the checkpoint explain every repeat."""
    report = daemon.check()
    report.assert_clean()
    assert report.written == report.handled == len(daemon.records)
    assert len(_handled(daemon)) == report.handled + len(report.repeats)


@given(finished_daemons(), st.data())
def test_a_dropped_change_is_missing(daemon: Daemon, data: st.DataObject) -> None:
    """A change that nobody handled is named."""
    lost = data.draw(st.sampled_from(_handled(daemon)))
    daemon.history = [
        entry
        for entry in daemon.history
        if isinstance(entry, Mark) or (entry.key, entry.n) != (lost.key, lost.n)
    ]
    report = daemon.check()
    assert report.missing == [(lost.key, lost.n)]
    with pytest.raises(AssertionError, match=rf"1 missing:\n  {lost.key} n={lost.n}"):
        report.assert_clean()


@given(finished_daemons(restarts=False), st.data())
def test_swapped_changes_are_out_of_order(daemon: Daemon, data: st.DataObject) -> None:
    """Two changes of one key, handled the wrong way round, are found."""
    key = data.draw(st.sampled_from(sorted(daemon.written)))
    places = [
        place for place, entry in enumerate(daemon.history) if isinstance(entry, Handled) and entry.key == key
    ]
    assume(len(places) >= 2)
    one, two = sorted(data.draw(st.permutations(places))[:2])
    daemon.history[one], daemon.history[two] = daemon.history[two], daemon.history[one]
    report = daemon.check()
    assert report.out_of_order
    with pytest.raises(AssertionError, match="out of order"):
        report.assert_clean()


@given(finished_daemons(), st.data())
def test_a_repeat_without_a_disruption_is_unexplained(daemon: Daemon, data: st.DataObject) -> None:
    """A change that is handled twice in a row is found, restarts before or after it or not."""
    place = data.draw(
        st.sampled_from([p for p, entry in enumerate(daemon.history) if isinstance(entry, Handled)])
    )
    repeated = daemon.history[place]
    daemon.history.insert(place, repeated)
    report = daemon.check()
    assert repeated in report.unexplained_repeats
    with pytest.raises(AssertionError, match="unexplained repeats"):
        report.assert_clean()


@given(finished_daemons(), st.data())
def test_a_gap_among_repeats_is_out_of_order(daemon: Daemon, data: st.DataObject) -> None:
    """A worker that goes back must not leave anything out afterwards, even if it was handled before."""
    daemon.checkpoint = 0
    daemon.restart()
    start = len(daemon.history)
    daemon.handle(len(daemon.records))
    key = data.draw(st.sampled_from(sorted(daemon.written)))
    again = [place for place in range(start, len(daemon.history)) if _key(daemon.history[place]) == key]
    assume(len(again) >= 3)
    del daemon.history[data.draw(st.sampled_from(again[1:-1]))]
    report = daemon.check()
    assert report.out_of_order
    assert not report.missing


def _key(entry: Handled | Mark) -> str:
    return entry.key if isinstance(entry, Handled) else ""


def _record(n: int, run: str = "a", shard: str = SHARD) -> Handled:
    return Handled("k", n, str(n), shard, run)


def _checkpoint(n: int | str) -> Mark:
    return Mark("checkpoint", shard_id=SHARD, details={"sequence_number": str(n)})


RESTART = Mark("restart")


@pytest.mark.parametrize(
    ("history", "unexplained"),
    [
        ([_record(1), _checkpoint(1), _record(2), RESTART, _record(2, "b")], []),
        ([_record(1), _record(2), _checkpoint(1), RESTART, _record(1, "b"), _record(2, "b")], [1]),
        ([_record(1), _record(2), _checkpoint("SHARD_END"), RESTART, _record(2, "b")], [2]),
        (
            [_record(1), _record(2), _checkpoint("TRIM_HORIZON"), RESTART, _record(1, "b"), _record(2, "b")],
            [],
        ),
        ([_record(1), _record(2), RESTART, _checkpoint(2), _record(2, "b")], []),
        ([RESTART, _record(1), _record(2), _record(2)], [2]),
        ([_record(1), RESTART, _record(1, "b"), _record(1, "b"), _record(2, "b")], [1]),
        ([_record(1), _record(2), Mark("kill", shard_id="other"), _record(2, "b")], [2]),
        ([_record(1), _record(2), Mark("kill", shard_id=SHARD), _record(2, "b")], []),
        ([_record(1), Mark("kill", "begin"), _record(2), Mark("kill", "end"), _record(2, "b")], []),
        ([_record(1), Mark("kill", "begin"), Mark("kill", "end"), _record(2), _record(2)], [2]),
    ],
)
def test_what_explains_a_repeat(history: list[Handled | Mark], unexplained: list[int]) -> None:
    """A disruption of its shard since the last time does, for what lies beyond the checkpoint of then."""
    report = check_history(history, {"k": [1, 2]})
    assert [entry.n for entry in report.unexplained_repeats] == unexplained


def test_explained_repeats_can_be_forbidden() -> None:
    """After a drain, say, not even an explained repeat may be there."""
    report = check_history([_record(1), RESTART, _record(1, "b")], {"k": [1]})
    report.assert_clean()
    with pytest.raises(AssertionError, match="1 repeats"):
        report.assert_clean(allow_repeats=False)


def test_what_was_never_written_is_told() -> None:
    """A record from elsewhere is not overlooked."""
    report = check_history([_record(1), replace(_record(1), key="foreign")], {"k": [1]})
    with pytest.raises(AssertionError, match="1 never written:\n  foreign n=1"):
        report.assert_clean()


def test_long_lists_are_cut() -> None:
    """A message stays readable when everything is missing."""
    with pytest.raises(AssertionError, match="0 of 99 changes were handled\n99 missing:\n") as raised:
        check_history([], {"k": range(1, 100)}).assert_clean()
    assert str(raised.value).endswith("… and 89 more")
    assert len(str(raised.value).splitlines()) == 13


def test_the_log_reads_what_it_wrote(tmp_path: Path) -> None:
    """Entries come back as they were, in order, from a file that is only ours."""
    log = HistoryLog(tmp_path / "history")
    assert log.entries() == []
    log.append("schlüssel\n\x00", 1, "123", SHARD)
    log.mark("checkpoint", shard_id=SHARD, sequence_number="123")
    with log.during("kill", pid=7):
        log.append("k", 1, "124")
    first, checkpoint, begin, second, end = log.entries()
    assert isinstance(first, Handled)
    assert (first.key, first.n, first.sequence_number, first.shard_id) == ("schlüssel\n\x00", 1, "123", SHARD)
    assert isinstance(second, Handled)
    assert first.run == second.run != HistoryLog(log.path)._this_run()
    assert [mark.phase for mark in (checkpoint, begin, end) if isinstance(mark, Mark)] == [
        "at",
        "begin",
        "end",
    ]
    assert log.handled() == [first, second]
    assert log.path.stat().st_mode & 0o777 == 0o600


def _append_many(path: Path, key: str) -> None:
    log = HistoryLog(path)
    for n in range(1, 51):
        log.append(key, n, str(n))


def test_several_processes_write_whole_lines(tmp_path: Path) -> None:
    """Lines of processes that write at the same time do not mix, and each process is a run."""
    path = tmp_path / "history"
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_append_many, args=(path, key)) for key in "abc"]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    check_history(HistoryLog(path).entries(), {key: range(1, 51) for key in "abc"}).assert_clean(False)
    assert len({entry.run for entry in HistoryLog(path).handled()}) == 3


def test_a_line_that_is_being_written_is_not_there_yet(tmp_path: Path) -> None:
    """Whoever reads meanwhile sees its begin."""
    log = HistoryLog(tmp_path / "history.jsonl")
    log.append("a", 1, "1")
    with log.path.open("ab") as file:
        file.write(b'{"key": "b", "n"')
    assert [(entry.key, entry.n) for entry in log.handled()] == [("a", 1)]
    with log.path.open("ab") as file:
        file.write(b': 2, "sequence_number": "2", "shard_id": "", "run": "", "monotonic_seconds": 0}\n')
    assert [(entry.key, entry.n) for entry in log.handled()] == [("a", 1), ("b", 2)]


def test_a_batch_is_written_as_its_changes_one_by_one(tmp_path: Path) -> None:
    """What `append_all` writes is what `append` would have: the same law holds for it."""
    log = HistoryLog(tmp_path / "history")
    log.append("k", 1, "1", SHARD)
    log.append_all([Handled("k", 2, "2", SHARD), Handled("k", 3, "3", SHARD)])
    log.append_all([])
    assert [(entry.n, entry.sequence_number, entry.shard_id) for entry in log.handled()] == [
        (1, "1", SHARD),
        (2, "2", SHARD),
        (3, "3", SHARD),
    ]
    assert len({(entry.run, entry.pid) for entry in log.handled()}) == 1
    check_history(log.entries(), {"k": [1, 2, 3]}).assert_clean(False)


@given(cut=st.integers(0, 400))
def test_what_a_killed_process_left_of_a_line_spoils_no_other(
    tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    """A batch that was cut anywhere counts as far as its lines are whole, and the next one is read."""
    whole = HistoryLog(tmp_path_factory.mktemp("whole") / "history")
    whole.append_all([Handled("k", n, str(n), SHARD) for n in (1, 2)])
    left = whole.path.read_bytes()[:cut]
    log = HistoryLog(whole.path.with_name("cut"))
    log.path.write_bytes(left)
    log.mark("kill")
    log.append("k", 3, "3")
    counted = [entry.n for entry in log.handled()]
    assert counted == [*range(1, left.count(b"}") - left.count(b"{}") + 1), 3]
    assert [entry.kind for entry in log.entries() if isinstance(entry, Mark)] == ["kill"]


def test_a_history_can_be_followed(tmp_path: Path) -> None:
    """Each look shows what came since the last one, and half a line only when it is whole."""
    log = HistoryLog(tmp_path / "history")
    reader = log.follow()
    assert reader.entries() == []
    log.append("k", 1, "1")
    log.append("k", 2, "2")
    assert [entry.n for entry in reader.entries() if isinstance(entry, Handled)] == [1, 2]
    assert reader.entries() == []
    with log.path.open("ab") as file:
        file.write(b'{"key": "k", "n": 3, "sequence_nu')
        file.flush()
        assert reader.entries() == []
        file.write(b'mber": "3"}\n')
    assert [entry.n for entry in reader.entries() if isinstance(entry, Handled)] == [3]
