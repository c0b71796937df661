"""The command line: tables in, folders and tables out, and one line for a mistake."""

import dataclasses
import json
from unittest.mock import ANY

import numpy as np
import pandas as pd
import pytest

from bitveil.audits import Answers, Audit
from bitveil.cli.messages import in_options
from bitveil.models import load
from builders import KEY, python, quick, table_of
from builders import fit_words as fit

# fit


def test_fit_writes_an_encoder_and_says_so_in_json(command_line, place):
    code, out, err = command_line(*fit("people.csv", "new", "--bits", "2", "--json"))
    found, loaded = json.loads(out), load("new")
    (score,) = found.pop("scores")

    assert (code, err) == (0, "")
    assert (score["target"], score["measure"], score["use"]) == ("hired", "accuracy", "select")
    assert score["n_rows"] == 114
    assert 0 <= score["value"] <= 1
    assert found == {
        "output": "new",
        "target": ["hired"],
        "sensitive": ["sex"],
        "price": ANY,
        "groups": ANY,
        "features": ["skill", "height", "age", "job", "size", "member", "planet", "notes"],
        "rows": {"fit": 286, "select": 114},
        "joined_groups": [],
        "n_bits": 2,
        "certified_gap": None,
        "certified": None,
        "delta": None,
        "share": 1.0,
        "slack": None,
        "tries": 0,
        "remarks": ANY,  # a new key draws other codes, and 114 rows may not show their use
    }
    assert found["remarks"] == [in_options(each) for each in loaded.remarks_]
    assert list(loaded.feature_names_in_) == found["features"]
    assert loaded.n_bits == 2
    assert loaded.schema_.target_name == "hired"
    assert list(loaded.schema_.sensitive_names) == ["sex"]
    assert Answers(**found["price"]["protected"]) == loaded.price_.protected
    assert {each["value"]: each["rows"] for each in found["groups"]} == loaded.group_sizes_
    assert sum(loaded.group_sizes_.values()) == 400


def test_fit_certifies_a_goal_and_encode_and_audit_go_on_from_there(bitveil, place, people):
    code, out, _ = bitveil(*fit("people.parquet", "new", "--max-gap", "0.9", "--delta", "0.2"))
    assert code == 0
    assert all(word in out for word in ("hired; sex", "certificate", "0.9000", "≥ 0.8", "certify"))
    assert all(f"{s}: {n} rows" in out for s, n in load("new").group_sizes_.items())
    assert "price not known from this fit: see `bitveil audit`" in " ".join(out.split())
    assert load("new").certificate_.bound == 0.9

    assert bitveil("encode", "new", "people.csv", "-o", "codes.csv")[0] == 0
    assert pd.read_csv("codes.csv").shape == (400, 4)
    table_of(people, seed=2).to_csv("others.csv", index=False)
    assert bitveil("audit", "new", "others.csv")[0] == 0


@pytest.mark.filterwarnings("default:The key of the draws")
def test_a_fit_with_a_seed_can_be_repeated_and_says_that_its_key_can_be_guessed(
    bitveil, place, table
):
    bits = []
    for name in ("one", "two"):
        few = ("--seed", "7", "--bits", "2", "--strength", "0.5", "--json")
        code, _, err = bitveil(*fit("people.csv", name, *few))
        assert code == 0
        assert "note: The key of the draws follows from --seed" in err
        bits.append(load(name).transform(table[load(name).feature_names_in_]))

    np.testing.assert_array_equal(*bits)


# encode


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_encoding_twice_writes_the_same_bytes(bitveil, place, suffix):
    for name in ("one", "two", "two"):
        written = ("-o", f"{name}.{suffix}", "--force")
        code, out, err = bitveil("encode", "encoder", "people.csv", *written)
        assert (code, out, err) == (0, f"400 codes of 3 bits in {name}.{suffix}\n", "")

    assert (place / f"one.{suffix}").read_bytes() == (place / f"two.{suffix}").read_bytes()


def test_codes_are_those_of_the_encoder_in_every_format(bitveil, place, table):
    for source in ("csv", "parquet"):
        for target in ("csv", "parquet"):
            bitveil("encode", "encoder", f"people.{source}", "-o", f"{source}.{target}")
    codes = [pd.read_csv("csv.csv"), pd.read_csv("parquet.csv")]
    codes += [pd.read_parquet("csv.parquet"), pd.read_parquet("parquet.parquet")]
    encoder = load("encoder")

    for frame in codes:
        assert frame.columns.tolist() == ["bit0", "bit1", "bit2"]
        np.testing.assert_array_equal(
            frame, encoder.transform(table[list(encoder.feature_names_in_)])
        )


def test_dates_are_read_alike_from_both_formats(bitveil, people, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    X, y, s = people(300)
    quick(key=KEY).fit(X, y, sensitive_features=s).save("encoder")
    X.to_csv("people.csv", index=False)
    X.to_parquet("people.parquet")
    for source in ("csv", "parquet"):
        assert bitveil("encode", "encoder", f"people.{source}", "-o", f"from_{source}.csv")[0] == 0

    assert (tmp_path / "from_csv.csv").read_bytes() == (tmp_path / "from_parquet.csv").read_bytes()


def test_another_process_draws_the_same_codes(bitveil, place):
    ran = python("encode", "encoder", "people.csv", "-o", "there.csv")
    bitveil("encode", "encoder", "people.csv", "-o", "here.csv")

    assert (ran.returncode, ran.stdout) == (0, "400 codes of 3 bits in there.csv\n")
    assert (place / "there.csv").read_bytes() == (place / "here.csv").read_bytes()


def test_ids_come_first_and_decide_the_draw(bitveil, place, table):
    bitveil("encode", "encoder", "people.csv", "-o", "codes.csv", "--id", "person")
    codes, encoder = pd.read_csv("codes.csv"), load("encoder")
    X = table[list(encoder.feature_names_in_)]

    assert codes.columns.tolist() == ["person", "bit0", "bit1", "bit2"]
    assert codes["person"].tolist() == table["person"].tolist()
    np.testing.assert_array_equal(
        codes.drop(columns="person"), encoder.transform(X, ids=table["person"])
    )


def test_a_code_stands_beside_its_own_id_whatever_the_index(bitveil, place, table):
    table.sample(frac=1, random_state=0).to_parquet("shuffled.parquet")
    for name in ("people", "shuffled"):
        written = ("-o", f"of_{name}.csv", "--id", "person")
        bitveil("encode", "encoder", f"{name}.parquet", *written)
    codes = [pd.read_csv(f"of_{name}.csv").set_index("person") for name in ("people", "shuffled")]

    pd.testing.assert_frame_equal(codes[1].loc[codes[0].index], codes[0])


def test_rows_that_share_a_draw_are_said_on_the_error_stream(bitveil, place, table):
    pd.concat([table, table[:20]]).to_csv("twice.csv", index=False)
    code, out, err = bitveil("encode", "encoder", "twice.csv", "-o", "codes.csv")

    assert code == 0
    assert out == "420 codes of 3 bits in codes.csv\n"
    assert "40 of 420 rows have the same content as another row" in err
    assert "--id" in err


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("command", ["encode", "audit"])
def test_unseen_values_are_said_once_on_the_error_stream(bitveil, place, table, command):
    table.assign(job="pilot").to_csv("pilots.csv", index=False)
    more = ("-o", "codes.csv") if command == "encode" else ()
    code, out, err = bitveil(command, "encoder", "pilots.csv", *more)

    assert code == 0
    assert "pilot" not in out.replace("pilots.csv", "")
    assert err.splitlines() == [
        "bitveil: note: Values that were not fitted count as none of the known ones: "
        "{'job': ['pilot']}."
    ]


# audit


def test_audit_says_what_it_found_and_what_that_does_not_say(bitveil, place):
    code, out, err = bitveil("audit", "encoder", "people.csv")

    assert (code, err) == (0, "")
    assert out.startswith(
        "What codes from encoder reveal about sex, measured on the rows of people.csv"
    )
    assert all(word in out for word in ("joint information", "attacker", "do not cover"))


def test_audit_prints_its_record_as_json(bitveil, place, table):
    code, out, err = bitveil("audit", "encoder", "people.csv", "--delta", "0.1", "--json")
    found = json.loads(out)

    assert (code, err) == (0, "")
    assert set(found) == {field.name for field in dataclasses.fields(Audit)}
    assert found["groups"] == ["f", "m"]
    assert found["sizes"] == table["sex"].value_counts()[["f", "m"]].tolist()
    assert found["certificate"]["delta"] == 0.1
    assert found["use_accuracy"] is not None


def test_audit_of_other_columns_than_the_fitted_ones(bitveil, place):
    named = ("--sensitive", "sex", "--sensitive", "member", "--target", "size")
    found = json.loads(bitveil("audit", "encoder", "people.parquet", *named, "--json")[1])

    assert found["groups"] == [["f", False], ["f", True], ["m", False], ["m", True]]


def test_audit_needs_no_target(bitveil, place, table):
    table.drop(columns="hired").to_csv("new.csv", index=False)
    code, out, _ = bitveil("audit", "encoder", "new.csv", "--id", "person", "--json")

    assert code == 0
    assert json.loads(out)["use_accuracy"] is None
    assert json.loads(out)["counted"].startswith("expected counts, since every row has a name")


# All commands


@pytest.mark.parametrize("command", ["demo", "fit", "encode", "audit", "count", "merge"])
def test_every_command_explains_itself(bitveil, command):
    code, out, err = bitveil(command, "--help")

    assert (code, err) == (0, "")
    assert command in out


def test_dates_may_be_a_sensitive_column(bitveil, place, table):
    born = pd.to_datetime(np.where(table["sex"] == "m", "2020-01-31", "2021-12-01"))
    table.assign(sex=born).to_parquet("born.parquet")

    assert bitveil(*fit("born.parquet", "new", "--bits", "1", "--json"))[0] == 0
    assert len(load("new").groups_) == 2
