"""Rules for all numbers that reports show: what they are of, their headings, their digits."""

import re
from dataclasses import fields

import pytest

from ntklin.apps.report import mitigation_columns, scale_columns, study_columns
from ntklin.apps.report.columns import Column
from ntklin.apps.scale.result import SizeResult
from ntklin.apps.study import OptimizerResult, ScaleResult
from ntklin.recipes.mitigation import Trial

TABLES = {
    "dynamics": (study_columns.DYNAMICS, ScaleResult),
    "test": (study_columns.TEST, ScaleResult),
    "term": (study_columns.TERM, ScaleResult),
    "training": (study_columns.TRAINING, OptimizerResult),
    "ends": (study_columns.ENDS, OptimizerResult),
    "accuracies": (study_columns.ACCURACIES, OptimizerResult),
    "mitigation": (mitigation_columns.COLUMNS, Trial),
    "quality": (scale_columns.QUALITY, SizeResult),
    "solution": (scale_columns.SOLUTION, SizeResult),
}
ALL = [
    pytest.param(column, of, id=f"{table}-{column.name}")
    for table, (columns, of) in TABLES.items()
    for column in columns
]
# By what a number's name says: a value, and what it looks like.
SHOWN = (
    ("accurac", 0.123456, r"12\.3(5)?%"),
    ("steps|iterations", 1234, r"1,234"),
    ("seconds", 425.0, r"7 min 5 s"),
    ("memory", 2500, r"2\.5 kB"),
    ("solver", "packed", r"packed"),
    ("lambda|rate", 0.0123456, r"0\.0123(5)?"),
    ("loss|size|distance|residual|bound", 0.00123456, r"1\.23?5?e-03"),
)


@pytest.mark.parametrize(("column", "of"), ALL)
def test_a_column_is_of_a_number_that_there_is(column, of):
    assert column.name in {field.name for field in fields(of)} | set(dir(of))


@pytest.mark.parametrize(("column", "of"), ALL)
def test_headings_are_short_words_in_small_letters(column, of):
    assert re.sub(r"\bGD\b", "", column.heading).islower()
    assert all(0 < len(line) <= 10 for line in column.heading.split("\n"))
    first, _, second = column.two_lines.partition("\n")
    assert "\n" not in second
    assert column.heading in (second, f"{first}\n{second}")


@pytest.mark.parametrize(("column", "of"), ALL)
def test_meanings_are_words_without_a_full_stop(column, of):
    assert len(column.meaning.split()) >= 2
    assert not column.meaning.endswith(".")


@pytest.mark.parametrize(("column", "of"), ALL)
def test_a_number_s_digits_follow_from_what_it_is(column, of):
    value, look = next((v, look) for name, v, look in SHOWN if re.search(name, column.name))
    assert re.fullmatch(look, column.text(value)), column.text(value)


@pytest.mark.parametrize(("columns", "of"), TABLES.values(), ids=TABLES)
def test_no_two_columns_of_a_table_look_alike(columns, of):
    assert len({column.name for column in columns}) == len(columns)
    assert len({column.heading for column in columns}) == len(columns)


def test_a_deviation_has_two_digits_in_the_mean_s_notation():
    study = [columns for columns, of in TABLES.values() if of in (ScaleResult, OptimizerResult)]
    styles = {column.style for columns in study for column in columns}
    assert styles == set(study_columns.DEVIATION)
    for style, deviation in study_columns.DEVIATION.items():
        mean, spread = format(0.123456, style), format(0.123456, deviation)
        assert re.sub(r"\d", "", mean) == re.sub(r"\d", "", spread)
        assert len(re.findall(r"[1-9]", spread)) <= 3


def test_the_narrow_table_lacks_one_column():
    left_out = set(mitigation_columns.COLUMNS) - set(mitigation_columns.NARROW)
    assert {column.name for column in left_out} == {"interpolator_distance"}


def test_a_column_that_has_its_own_words_uses_no_format():
    column = Column("n", "n", "of all", ".2e", show=lambda number: f"<{number}>")
    assert column.text(3) == "<3>"
    assert Column("n", "n", "of all").text(3) == "3"
    assert Column("n", "a\nb", "of all").two_lines == "a\nb"
    assert Column("n", "b", "of all").two_lines == "\nb"
