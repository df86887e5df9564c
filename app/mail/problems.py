"""What can be wrong with a template or its HTML: stable codes with parameters, and English sentences for
them.

The screens make their own sentences from `code` and `parameters`; `str(problem)` is for logs and the command
line.
"""

from dataclasses import dataclass, field
from enum import StrEnum


class Severity(StrEnum):
    ERROR = "error"  # the template can't be saved
    NOTICE = "notice"  # it can; the author should know


@dataclass(frozen=True, slots=True)
class TemplateProblem:
    """One problem at one place; line and column count from 1, in the author's characters."""

    line: int
    column: int
    code: str
    parameters: dict[str, str | int] = field(default_factory=dict)
    part: str = ""
    severity: Severity = Severity.ERROR

    def __str__(self) -> str:
        where = f"{self.part}, line {self.line}, column {self.column}"
        return f"{where.removeprefix(', ')}: {ENGLISH[self.code].format_map(self.parameters)}{self._proposal()}"

    def _proposal(self) -> str:
        suggestion = self.parameters.get("suggestion")
        return f" Did you mean “{suggestion}”?" if suggestion else ""


ENGLISH: dict[str, str] = {
    "too_long": "The text has {length} characters; at most {limit} are allowed.",
    "too_deep": "This is nested more than {limit} levels deep.",
    "too_many_tags": "There are more than {limit} tags in braces; take some out.",
    "too_many_branches": "There are more than {limit} “if” and “elif”; take some out.",
    "too_many_filters": "There are more than {limit} filters between these braces; take some out.",
    "tag_too_long": "There is too much between these braces; split it.",
    "unclosed_tag": "“{tag}” is opened here and never closed.",
    "unclosed_if": "This “if” has no “endif”.",
    "unexpected_statement": "“{statement}” stands here without an “if” before it.",
    "syntax": "This can't be understood near “{near}”.",
    "empty_tag": "There is nothing between these braces; write the name of a field.",
    "unknown_field": "There is no field “{field}”.",
    "unknown_filter": "There is no filter “{filter}”.",
    "filter_arguments": "The filter “{filter}” takes {expected} value(s) in parentheses, not {found}.",
    "loop_not_allowed": "Loops are not allowed.",
    "statement_not_allowed": "“{statement}” is not allowed; only if, elif, else and endif are.",
    "private_access": "“{name}” is private and can't be used.",
    "attribute_not_allowed": "A field has no parts: “.{name}” is not allowed.",
    "item_not_allowed": "A field has no items: square brackets are not allowed.",
    "call_not_allowed": "Calling something with parentheses is not allowed here.",
    "operator_not_allowed": "“{operator}” is not allowed; only and, or, not, == and != are.",
    "test_not_allowed": "“is {test}” is not allowed; only “is defined” is.",
    "constant_not_allowed": "Fields are texts: write “{constant}” in quotation marks.",
    "expression_not_allowed": "This kind of expression is not allowed.",
    "line_break": "A header can't have a line break.",
    "control_character": "The invisible character {character} is not allowed here.",
    "condition_printed": "This is a yes or no, not a text; use it inside “if”.",
    "link_filtered": "“{field}” is a web address and can't be changed by a filter.",
    "field_not_in_part": "“{field}” can't be used in this part.",
    "link_not_tracked": "This link has merge fields in its address, so its clicks can't be counted.",
    "link_invalid": "“{url}” is not a complete web address.",
    "link_relative": "“{url}” leads nowhere from inside a mail; write it with https:// and the host.",
}
