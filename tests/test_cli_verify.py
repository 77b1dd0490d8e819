"""``ntklin verify`` from the command line to its files."""

import json
from dataclasses import replace

import pytest
from commands import invoke

from ntklin.apps.cli.ahead import helper
from ntklin.apps.plots.scaling import scaling_figure
from ntklin.apps.report.verification_page import verification_page
from ntklin.apps.report.verification_table import strength_table
from ntklin.apps.report.verification_verdicts import Judged
from ntklin.validation import theorems
from ntklin.validation.theorems import Curve

THEOREM_1 = next(s for s in theorems.STATEMENTS if s.key == "theorem1")


def verify(*arguments, status=0):
    result = invoke("verify", *arguments)
    assert result.exit_code == status, result.output
    return result


def test_it_shows_and_writes_every_check(tmp_path):
    out = tmp_path / "v"
    shown = verify("lemma2", "Equation19", "--quick", "--exact", "--out", out).output
    assert "Lemma 2" in shown
    assert "4 of 4 exact" in shown
    results = json.loads((out / "results.json").read_text())
    assert [c["check"] for c in results["checks"]] == [
        *("least-norm", "transpose", "limit", "residual"),
    ]
    assert all(c["passed"] and not c["control"]["holds"] for c in results["checks"])
    assert results["config"] == {"size": "quick", "seed": 0}
    command = results["provenance"]["command"]
    assert command == "ntklin verify lemma2 Equation19 --exact --quick --seed 0"
    page = (out / "report.html").read_text()
    assert "Eq. (13) lacks the transpose" in page
    assert "fails, as it should" in page


def test_a_failed_check_is_told_and_exits_with_1(tmp_path, monkeypatch):
    statement = THEOREM_1
    check = statement.checks[0]
    broken = replace(
        statement,
        checks=(
            replace(check, name="wrong", formula=check.wrong),
            replace(check, name="blind", wrong=check.formula),
        ),
    )
    monkeypatch.setattr(theorems, "STATEMENTS", (broken,))
    shown = verify("--quick", "--exact", "--out", tmp_path, status=1).output
    assert "FAILS: Theorem 1, wrong" in shown
    assert "BLIND: Theorem 1, blind" in shown
    assert "0 of 2 exact" in shown


def test_ctrl_c_keeps_what_is_finished_and_a_second_run_goes_on(tmp_path, monkeypatch):
    statement = THEOREM_1
    first, second, *_ = statement.checks

    def interrupted(*arguments):
        raise KeyboardInterrupt

    stopped = replace(statement, checks=(first, replace(second, measure=interrupted)))
    monkeypatch.setattr(theorems, "STATEMENTS", (stopped,))
    shown = verify("--quick", "--exact", "--out", tmp_path, status=130).output
    assert "1 of 1 exact" in shown
    monkeypatch.setattr(
        theorems,
        "STATEMENTS",
        (replace(statement, checks=(replace(first, measure=interrupted), second)),),
    )
    assert "2 of 2 exact" in verify("--quick", "--exact", "--out", tmp_path).output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["theorem99"], "unknown statement 'theorem99'; there are kernel-limit"),
        (["--seed", "-1"], "--seed"),
        (["lemma2", "--certified"], "no check of this strength"),
        (["--out", ""], "the output folder's name is empty"),
    ],
)
def test_bad_arguments(arguments, message):
    assert message in verify(*arguments, status=2).output


@pytest.mark.parametrize(
    ("words", "n_helpers"), [(["--quick"], 1), (["--quick", "--threads", "1"], 0), ([], 0)]
)
def test_a_quick_run_that_is_not_told_how_many_threads_has_a_helper(
    words, n_helpers, tmp_path, monkeypatch
):
    def interrupted(*arguments):
        raise KeyboardInterrupt

    started = []
    check = replace(THEOREM_1.checks[0], measure=interrupted)
    monkeypatch.setattr(theorems, "STATEMENTS", (replace(THEOREM_1, checks=(check,)),))
    monkeypatch.setattr(helper, "start", lambda *what: started.append(what))
    verify(*words, "--out", tmp_path, status=130)
    assert len(started) == n_helpers


def test_quiet(tmp_path):
    assert verify("lemma3", "--quick", "--exact", "--quiet", "--out", tmp_path).output == ""


def test_a_table_has_a_row_for_each_check_and_the_statement_s_name_above_its_first():
    statement = THEOREM_1
    checks = statement.checks[:2]
    verdicts = theorems.run([replace(statement, checks=checks)], theorems.Setting(quick=True))
    judged = [Judged(statement, c, v) for c, v in zip(checks, verdicts, strict=True)]
    table = strength_table("Exact", judged)
    headings = [column.header for column in table.columns]
    assert headings == ["statement\n  check", "\nmeasured", "\npredicted", "\nverdict"]
    names, measured, predicted, told = (list(map(str, c.cells)) for c in table.columns)
    assert names == [f"{statement.title}\n  {checks[0].name}", f"  {checks[1].name}"]
    for k, item in enumerate(judged):
        m, above = item.verdict.measurement, "\n" * (k == 0)
        assert (measured[k], predicted[k]) == (above + m.measured, above + m.predicted)
        assert told[k] == f"{above}holds: {m.margin}"
    assert (table.title, table.title_justify, table.title_style) == ("Exact", "left", "bold")


def test_scaling_laws_are_drawn(tmp_path):
    statement = THEOREM_1
    [verdict] = theorems.run(
        [replace(statement, checks=statement.checks[:1])], theorems.Setting(quick=True)
    )
    curve = Curve(
        x=(100.0, 200.0, 400.0),
        y=(1.0, 0.7, 0.5),
        y_error=(0.1, 0.1, 0.1),
        fit=-0.5,
        predicted=-0.5,
        x_label="width m",
        y_label="distance",
    )
    axes = scaling_figure(curve).axes[0]
    assert axes.get_xscale() == axes.get_yscale() == "log"
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == ["fitted power: -0.50", "the paper's: -0.50", "measured"]
    drawn = replace(verdict, measurement=replace(verdict.measurement, curve=curve))
    provenance = {"command": "ntklin verify", "created": "now", "elapsed_seconds": 1.0}
    provenance |= {"versions": {}, "machine": {}}
    page = verification_page([Judged(statement, statement.checks[0], drawn)], {}, provenance)
    assert page.count("<img") == 1
    assert "distance against width m" in page
    assert "results.json" in page
