"""Staging: a file appears whole, or not at all."""

import pytest

from bitveil.staging import staged


def test_staged_files_appear_only_at_the_end(tmp_path):
    target = tmp_path / "codes.csv"
    with staged(target) as path:
        path.write_text("new")
        assert path.suffix == ".csv"
        assert not target.exists()

    assert target.read_text() == "new"
    assert list(tmp_path.iterdir()) == [target]


def test_a_failure_leaves_the_old_file(tmp_path):
    (tmp_path / "codes.csv").write_text("old")

    def fail():
        with staged(tmp_path / "codes.csv", overwrite=True) as path:
            path.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert (tmp_path / "codes.csv").read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_file_is_overwritten_only_on_request(tmp_path):
    (tmp_path / "codes.csv").write_text("old")
    with pytest.raises(FileExistsError), staged(tmp_path / "codes.csv"):
        pass
    with staged(tmp_path / "codes.csv", overwrite=True) as path:
        path.write_text("new")

    assert (tmp_path / "codes.csv").read_text() == "new"
