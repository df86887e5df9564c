"""Keys of custom fields are what templates can use, and nothing else."""

import pytest

from app.flow import custom_fields
from app.flow.custom_fields import FieldProblem
from app.models import FieldType


@pytest.mark.parametrize("key", ["region", "r2", "a_b", "x" * 40])
def test_usable_key_is_taken(session, panel, key):
    field = custom_fields.create(session, panel.id, key=key, label="Región", type_=FieldType.TEXT)
    assert custom_fields.of_panel(session, panel.id) == [field]


@pytest.mark.parametrize(
    ("key", "code"),
    [
        ("region\n", "bad_key"),
        ("Region", "bad_key"),
        ("2x", "bad_key"),
        ("x" * 41, "bad_key"),
        ("email", "reserved_key"),
        ("nombre", "reserved_key"),
        ("enlace_baja", "reserved_key"),
        ("if", "reserved_key"),
        ("self", "reserved_key"),
        ("true", "reserved_key"),
    ],
)
def test_key_that_a_template_could_not_use_is_refused(session, panel, key, code):
    with pytest.raises(FieldProblem) as refused:
        custom_fields.create(session, panel.id, key=key, label="Región", type_=FieldType.TEXT)
    assert refused.value.code == code
    assert custom_fields.of_panel(session, panel.id) == []


def test_key_that_is_there_already_is_refused(session, panel):
    custom_fields.create(session, panel.id, key="region", label="Región", type_=FieldType.TEXT)
    with pytest.raises(FieldProblem, match="taken_key"):
        custom_fields.create(session, panel.id, key="region", label="Otra", type_=FieldType.TEXT)
