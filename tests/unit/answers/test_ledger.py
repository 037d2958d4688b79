"""The token ledger: what is on disk when a process is killed."""

from pathlib import Path

from ray_jobs.answers.ledger import LedgerTotals, TokenLedger, read_ledger


def test_ledger_sums_the_last_count_of_every_engine(tmp_path: Path) -> None:
    for engine, counts in {"a": (10, 25), "b": (7,)}.items():
        ledger = TokenLedger(tmp_path, engine=engine, interval_s=0)
        for tokens in counts:
            ledger.record(tokens)
    assert read_ledger(tmp_path) == LedgerTotals(num_engines=2, tokens=32)


def test_a_line_is_written_once_an_interval_and_at_the_end(tmp_path: Path) -> None:
    now = 100.0
    ledger = TokenLedger(tmp_path, engine="a", interval_s=1.0, clock=lambda: now)
    ledger.record(1)
    now = 100.9
    ledger.record(2)
    assert read_ledger(tmp_path).tokens == 1
    now = 101.0
    ledger.record(3)
    ledger.record(4)
    assert read_ledger(tmp_path).tokens == 3
    ledger.record(5, is_last=True)
    assert read_ledger(tmp_path).tokens == 5


def test_line_cut_by_a_kill_is_passed_over(tmp_path: Path) -> None:
    TokenLedger(tmp_path, engine="a", interval_s=0).record(10)
    with (tmp_path / "a.jsonl").open("a") as file:
        file.write('{"time": 1, "engine": "a", "tok')
    assert read_ledger(tmp_path).tokens == 10


def test_folder_without_engines_counts_nothing(tmp_path: Path) -> None:
    assert read_ledger(tmp_path / "none") == LedgerTotals(num_engines=0, tokens=0)
