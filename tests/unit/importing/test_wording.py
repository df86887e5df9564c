"""Every code has a sentence of its own, complete, whatever the language of the process."""

import pytest

from app.flow.importing.problems import EMAIL_PREFIX, FileProblem, ImportProblem, RowProblem
from app.mail.addresses import AddressProblem
from app.models import ImportStatus, RowOutcome, SuppressionReason
from app.web.contacts import wording

DETAILS = {
    "limit_bytes": 512 << 20, "kind": "pdf", "status": "done", "columns": 250, "limit": 200, "header": "Correo",
    "line": 1200, "column": 3, "first_column": 1, "key": "región", "name": "Feria",
    "known": "region", "label": "Región",
}  # fmt: skip


@pytest.mark.parametrize("code", FileProblem)
def test_every_problem_of_a_file_has_a_sentence(app, code):
    problem = ImportProblem(code, **DETAILS)
    sentence = wording.file_problem(problem.to_json())
    assert sentence.endswith((".", ")"))
    assert "%" not in sentence
    assert sentence == wording.file_problem(problem)


@pytest.mark.parametrize("reason", [*RowProblem, *(EMAIL_PREFIX + code for code in AddressProblem), "duplicate:1200"])
def test_every_problem_of_a_row_has_a_sentence_and_fits_its_column(app, reason):
    sentence = wording.row_problem(str(reason))
    assert sentence != reason
    assert sentence.endswith(".")
    assert len(reason) <= 40


def test_every_status_outcome_and_reason_has_a_name(app):
    for name, values in (
        (wording.outcome_name, RowOutcome),
        (wording.outcome_meaning, RowOutcome),
        (wording.import_status_name, ImportStatus),
        (wording.suppression_reason_name, SuppressionReason),
    ):
        assert all(name(value) for value in values)
    assert set(wording.OUTCOME_COLOURS) == set(RowOutcome)
