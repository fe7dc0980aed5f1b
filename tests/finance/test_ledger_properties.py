"""What holds of the ledger whatever happens over six months, and wherever a process is killed. The months are drawn in ledger_world.py."""

import random
import subprocess
import sys
import time

import pytest

from tests import ledger_world
from tests import scratch_ledgers as ledgers
from tests.conftest import REPO
from tollbook.finance import ledger

KILLS = 55
POSTINGS = "select * exclude (recorded_at) from ledger.postings order by posting_id"


@pytest.mark.parametrize("seed", range(4))
def test_after_every_step_the_ledger_balances_is_what_is_computed_and_keeps_what_it_said(seed):
    with ledger_world.write(":memory:", with_threshold=seed % 3 == 2) as db:
        before = []
        while ledger_world.step(db, seed):
            ledger_world.assert_sound(db)
            ledger_world.assert_current(db)
            now = db.execute("select * from ledger.postings order by posting_id").fetchall()
            assert now[: len(before)] == before
            before = now
        # a build from nothing, and once more: there is nothing to post
        for run in ("again", "and again"):
            ledgers.build(db, config="rules 0", models="models 0")
            assert ledger.post(db, run).postings == 0
        (closed, reopened, moments, reasons) = db.execute(
            "select (select count(*) from ledger.period_events where event = 'closed'),"
            " (select count(*) from ledger.period_events where event = 'reopened'),"
            " (select count(distinct known_at) from snapshots), (select count(distinct reason) from ledger.postings)"
        ).fetchone()
    # something was put to the proof
    assert (closed >= 3, reopened >= 0, moments > 15, reasons >= 4) == (True, True, True, True)


def test_a_process_killed_anywhere_leaves_all_or_none_of_a_posting_and_goes_on(tmp_path):
    """SIGKILL at a random moment of steps and postings, again and again; then on, to the same ledger as if nothing had been."""
    draw = random.Random(6)
    kills = inside = seed = 0
    while kills < KILLS:
        seed += 1
        place = tmp_path / f"{seed}.duckdb"
        with ledger_world.write(place, with_threshold=seed % 2 == 0) as db:
            started = time.monotonic()
            for _ in range(3):
                ledger_world.step(db, seed)
            step_seconds = (time.monotonic() - started) / 3
        before, ended = [], False
        while not ended:
            words = _killed_after(place, seed, draw.uniform(0, 2.5 * step_seconds) if kills < KILLS else None)
            ended = words[-1] == "end"
            kills += not ended
            inside += words[-1].startswith("writing")
            with ledgers.connect(place) as db:
                ledger_world.assert_sound(db)
                now = db.execute("select * from ledger.postings order by posting_id").fetchall()
                assert now[: len(before)] == before
                before = now
        with ledgers.connect(place) as db, ledger_world.write(":memory:", with_threshold=seed % 2 == 0) as undisturbed:
            ledger_world.assert_current(db)
            while ledger_world.step(undisturbed, seed):
                pass
            assert db.execute(POSTINGS).fetchall() == undisturbed.execute(POSTINGS).fetchall()
    # most of them hit a transaction
    assert (kills >= 50, inside >= kills // 2) == (True, True), f"{inside} of {kills}"


def _killed_after(place, seed: int, seconds: float | None) -> list[str]:
    """What a process that goes on with the world said until it was killed, or came to its end where no time is given."""
    command = [sys.executable, "-c", f"from tests.ledger_world import go; go({str(place)!r}, {seed})"]
    with subprocess.Popen(command, cwd=REPO, stdout=subprocess.PIPE, text=True) as child:
        words = [child.stdout.readline().strip()]
        assert words == ["ready"]
        if seconds is not None:
            time.sleep(seconds)
            child.kill()
        words += child.stdout.read().splitlines()
        assert child.wait() in (0, -9)
    return words
