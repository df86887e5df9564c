"""The rules of the merge language: what authors may write, and what is wrong with what they wrote.

Allowed are text; `{{ campo }}` with the filters below; constant texts in quotation marks; and `{% if … %} {%
elif … %} {% else %} {% endif %}` with and, or, not, ==, != and `is defined`. Everything else that Jinja2
knows is refused, by listing what is allowed and not what is forbidden.

Every field is a text. A field that a contact lacks and one that is empty are the same: both print nothing,
are false in `if`, not defined, and replaced by `default`. Values are escaped in the HTML part and inserted as
they are in the others; see `merge`.
"""

import re
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from difflib import get_close_matches

from jinja2 import nodes
from jinja2.exceptions import TemplateSyntaxError

from app.mail.merge_language import (
    FILTERS,
    HEADER_PARTS,
    KEYWORDS,
    MAX_BRANCHES,
    MAX_CHARACTERS,
    MAX_FILTERS_PER_TAG,
    MAX_NESTED_IFS,
    MAX_NESTED_PARENTHESES,
    MAX_PROBLEMS,
    MAX_TAGS,
    RESERVED_FIELDS,
    UNSUBSCRIBE_FIELD,
    Part,
)
from app.mail.problems import TemplateProblem
from app.mail.quoted_printable import clean_text
from app.mail.template_syntax import LexedToken, Place, TagTooLongError, lex, offset_of, parse

_STATEMENTS = frozenset({"if", "elif", "else", "endif"})
_BRANCHES = frozenset({"if", "elif"})
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_LINE_BREAK = re.compile("[\n\x0b\x0c\x85\u2028\u2029]")
_COMPARISONS = frozenset({"eq", "ne"})
_OPERATOR_SIGNS: dict[type[nodes.Node], str] = {
    nodes.Add: "+", nodes.Sub: "-", nodes.Mul: "*", nodes.Div: "/", nodes.FloorDiv: "//", nodes.Mod: "%",
    nodes.Pow: "**", nodes.Concat: "~", nodes.Neg: "-", nodes.Pos: "+",
}  # fmt: skip
_COMPARISON_SIGNS = {"gt": ">", "gteq": ">=", "lt": "<", "lteq": "<=", "in": "in", "notin": "not in"}


def fields_used(source: str) -> frozenset[str]:
    """The names of all fields in a template that `check_template` found nothing wrong with."""
    return frozenset(name.name for name in parse(clean_text(source)).find_all(nodes.Name))


def always_printed(source: str, name: str) -> list[int]:
    """Offsets where a checked template prints the field `name` as it is, for every recipient (in no `if`)."""
    outputs = [node for node in parse(clean_text(source)).body if isinstance(node, nodes.Output)]
    printed = [node for output in outputs for node in output.nodes if isinstance(node, nodes.Name)]
    return [offset_of(node) for node in printed if node.name == name]


def check_template(source: str, *, known_fields: Collection[str], part: Part | str) -> list[TemplateProblem]:
    """The problems of one part, in the order of their places; an empty list means that it can be compiled.

    `known_fields` are the panel's own fields; `RESERVED_FIELDS` are known always. Where the syntax is broken,
    only the first place is reported, since what follows can't be told apart. Nobody reads more than
    `MAX_PROBLEMS`: the check ends there.
    """
    part = Part(part)
    if len(source) > MAX_CHARACTERS[part]:
        parameters: dict[str, str | int] = {"length": len(source), "limit": MAX_CHARACTERS[part]}
        return [TemplateProblem(1, 1, "too_long", parameters, part)]
    check = _Check(clean_text(source), frozenset(known_fields) | RESERVED_FIELDS, part)
    with suppress(_EnoughProblems):
        check.run()
    return sorted(check.problems, key=lambda problem: (problem.line, problem.column))


class _EnoughProblems(Exception):
    """The list is as long as anybody reads."""


@dataclass
class _Check:
    """One run over one source; `problems` fills up on the way."""

    source: str
    known_fields: frozenset[str]
    part: Part
    problems: list[TemplateProblem] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._place = Place(self.source)

    def run(self) -> None:
        self._check_characters()
        try:
            self._check_tags(lex(self.source))
        except TemplateSyntaxError as error:
            self._report_syntax(error)
        if not any(problem.code in _STRUCTURE_CODES for problem in self.problems):
            self._check_tree()

    def _report(self, offset: int, code: str, **parameters: str | int) -> None:
        line, column = self._place.of(offset)
        self.problems.append(TemplateProblem(line, column, code, parameters, self.part))
        if len(self.problems) >= MAX_PROBLEMS:
            raise _EnoughProblems

    def _report_syntax(self, error: TemplateSyntaxError) -> None:
        if isinstance(error, TagTooLongError):
            self._report(offset_of(error), "tag_too_long")
            return
        offset = min(offset_of(error), len(self.source))
        near = self.source[offset:].split("\n", 1)[0][:20].strip() or self.source[:offset][-20:].strip()
        self._report(offset, "syntax", near=near)

    def _check_characters(self) -> None:
        if self.part in HEADER_PARTS:
            for found in _LINE_BREAK.finditer(self.source):
                self._report(found.start(), "line_break")
        for found in _CONTROL.finditer(self.source):
            if self.part not in HEADER_PARTS or not _LINE_BREAK.match(found[0]):
                self._report(found.start(), "control_character", character=f"U+{ord(found[0]):04X}")

    # The shape of the tags, checked on tokens: deep nesting must be refused before a recursive parser sees
    # it.

    def _check_tags(self, tokens: list[LexedToken]) -> None:
        open_ifs: list[int] = []
        branches = 0
        for number, (begin, inside, is_closed) in enumerate(_tags(tokens), start=1):
            branches += bool(inside) and begin.kind == "block_begin" and inside[0].text in _BRANCHES
            if self._is_too_much(begin, number, branches):
                return
            if not is_closed:
                self._report(begin.offset, "unclosed_tag", tag=begin.text)
            elif not inside:
                self._report(begin.offset, "empty_tag")
            else:
                self._check_depth(inside)
                self._check_filter_count(inside)
                if begin.kind != "variable_begin":
                    self._check_statement(begin, inside[0].text, open_ifs)
        for offset in open_ifs:
            self._report(offset, "unclosed_if")

    def _is_too_much(self, begin: LexedToken, tags: int, branches: int) -> bool:
        if tags > MAX_TAGS:
            self._report(begin.offset, "too_many_tags", limit=MAX_TAGS)
        elif branches > MAX_BRANCHES:
            self._report(begin.offset, "too_many_branches", limit=MAX_BRANCHES)
        return tags > MAX_TAGS or branches > MAX_BRANCHES

    def _check_depth(self, inside: list[LexedToken]) -> None:
        depth = 0
        for token in inside:
            depth += (token.text in "([{") - (token.text in ")]}") if token.kind == "operator" else 0
            if depth > MAX_NESTED_PARENTHESES:
                self._report(token.offset, "too_deep", limit=MAX_NESTED_PARENTHESES)
                return

    def _check_filter_count(self, inside: list[LexedToken]) -> None:
        pipes = [token for token in inside if token.kind == "operator" and token.text == "|"]
        if len(pipes) > MAX_FILTERS_PER_TAG:
            self._report(pipes[MAX_FILTERS_PER_TAG].offset, "too_many_filters", limit=MAX_FILTERS_PER_TAG)

    def _check_statement(self, begin: LexedToken, statement: str, open_ifs: list[int]) -> None:
        if statement == "for":
            self._report(begin.offset, "loop_not_allowed")
        elif statement not in _STATEMENTS:
            # Once “for” is reported, its “endfor” says nothing new.
            if not (statement.startswith("end") and self.problems):
                self._report(begin.offset, "statement_not_allowed", statement=statement)
        elif statement == "if":
            open_ifs.append(begin.offset)
            if len(open_ifs) > MAX_NESTED_IFS:
                self._report(begin.offset, "too_deep", limit=MAX_NESTED_IFS)
        elif not open_ifs:
            self._report(begin.offset, "unexpected_statement", statement=statement)
        elif statement == "endif":
            open_ifs.pop()

    # The meaning of the tags, checked on Jinja2's own tree: the same tree is compiled later.

    def _check_tree(self) -> None:
        try:
            tree = parse(self.source)
        except TemplateSyntaxError as error:
            self._report_syntax(error)
            return
        for node in tree.body:
            self._check_block(node)

    def _check_block(self, node: nodes.Node) -> None:
        if isinstance(node, nodes.Output):
            for child in node.nodes:
                if not isinstance(child, nodes.TemplateData):
                    self._check_expression(child, is_text=True)
        elif isinstance(node, nodes.If):
            self._check_expression(node.test, is_text=False)
            for inner in [*node.body, *node.elif_, *node.else_]:
                self._check_block(inner)
        else:
            self._report(offset_of(node), "statement_not_allowed", statement=type(node).__name__.lower())

    def _check_expression(self, node: nodes.Node, *, is_text: bool) -> None:
        """Exactly what `merge` can evaluate; `is_text` where a yes or no would have no meaning."""
        if isinstance(node, nodes.Name):
            self._check_field(node)
        elif isinstance(node, nodes.Const):
            self._check_constant(node)
        elif isinstance(node, nodes.Filter) and node.node is not None:
            self._check_filter(node)
            self._check_each([node.node, *node.args], is_text=True)
        elif isinstance(node, nodes.And | nodes.Or):
            self._check_each([node.left, node.right], is_text=is_text)
        elif isinstance(node, nodes.Not | nodes.Compare | nodes.Test):
            self._check_condition(node, is_text=is_text)
        else:
            self._refuse(node)

    def _check_condition(self, node: nodes.Not | nodes.Compare | nodes.Test, *, is_text: bool) -> None:
        if is_text:
            self._report(offset_of(node), "condition_printed")
        if isinstance(node, nodes.Not):
            self._check_expression(node.node, is_text=False)
        elif isinstance(node, nodes.Compare):
            self._check_comparison(node)
        else:
            self._check_test(node)

    def _check_each(self, found: Iterable[nodes.Node], *, is_text: bool) -> None:
        for node in found:
            self._check_expression(node, is_text=is_text)

    def _check_field(self, node: nodes.Name) -> None:
        if node.name.startswith("_"):
            self._report(offset_of(node), "private_access", name=node.name)
        elif node.name not in self.known_fields or node.name in KEYWORDS:
            suggestion = _closest(node.name, self.known_fields)
            self._report(offset_of(node), "unknown_field", field=node.name, suggestion=suggestion)
        elif node.name == UNSUBSCRIBE_FIELD and self.part in HEADER_PARTS:
            self._report(offset_of(node), "field_not_in_part", field=node.name)

    def _check_constant(self, node: nodes.Const) -> None:
        if not isinstance(node.value, str):
            self._report(offset_of(node), "constant_not_allowed", constant=str(node.value).lower())
        elif self.part in HEADER_PARTS and not node.value.isprintable():
            self._report(offset_of(node), "line_break")

    def _check_filter(self, node: nodes.Filter) -> None:
        if node.name not in FILTERS:
            self._report(offset_of(node), "unknown_filter", filter=node.name, suggestion=_closest(node.name, FILTERS))
            return
        if any(name.name == UNSUBSCRIBE_FIELD for name in node.find_all(nodes.Name)):
            self._report(offset_of(node), "link_filtered", field=UNSUBSCRIBE_FIELD)
        expected, found = FILTERS[node.name][1], len(node.args) + len(node.kwargs)
        if found != expected or node.kwargs or node.dyn_args or node.dyn_kwargs:
            self._report(offset_of(node), "filter_arguments", filter=node.name, expected=expected, found=found)

    def _check_comparison(self, node: nodes.Compare) -> None:
        self._check_expression(node.expr, is_text=True)
        for operand in node.ops:
            if operand.op not in _COMPARISONS or len(node.ops) > 1:
                sign = _COMPARISON_SIGNS.get(operand.op, "==" if operand.op == "eq" else "!=")
                at = self.source.rfind(sign, offset_of(node), offset_of(operand))
                self._report(at if at >= 0 else offset_of(operand), "operator_not_allowed", operator=sign)
            self._check_expression(operand.expr, is_text=True)

    def _check_test(self, node: nodes.Test) -> None:
        if node.name != "defined" or node.args or not isinstance(node.node, nodes.Name):
            self._report(offset_of(node), "test_not_allowed", test=node.name)
        self._check_expression(node.node, is_text=True)

    def _refuse(self, node: nodes.Node) -> None:
        at = offset_of(node)
        name = node.attr if isinstance(node, nodes.Getattr) else _constant_item(node)
        if name.startswith("_"):
            self._report(at, "private_access", name=name)
        elif isinstance(node, nodes.Getattr):
            self._report(at, "attribute_not_allowed", name=name)
        elif isinstance(node, nodes.Getitem):
            self._report(at, "item_not_allowed")
        elif isinstance(node, nodes.Call):
            self._report(at, "call_not_allowed")
        elif type(node) in _OPERATOR_SIGNS:
            self._report(at, "operator_not_allowed", operator=_OPERATOR_SIGNS[type(node)])
        else:
            self._report(at, "expression_not_allowed")


# With one of these the tree can't be had, or must not be asked for.
_STRUCTURE_CODES = frozenset({
    "syntax", "unclosed_tag", "empty_tag", "tag_too_long", "too_deep", "too_many_tags", "too_many_branches",
    "loop_not_allowed", "statement_not_allowed", "unclosed_if", "unexpected_statement",
})  # fmt: skip


def _tags(tokens: list[LexedToken]) -> Iterator[tuple[LexedToken, list[LexedToken], bool]]:
    """Each tag as its opening token, the tokens inside but white space, and whether it is closed."""
    begin: LexedToken | None = None
    inside: list[LexedToken] = []
    for token in tokens:
        if token.kind in ("variable_begin", "block_begin", "raw_begin"):
            begin, inside = token, []
            if token.kind == "raw_begin":
                yield token, [LexedToken(token.offset, "name", "raw")], True
                begin = None
        elif token.kind in ("variable_end", "block_end") and begin is not None:
            yield begin, inside, True
            begin = None
        elif begin is not None and token.kind != "whitespace":
            inside.append(token)
    if begin is not None:
        yield begin, inside, False


def _constant_item(node: nodes.Node) -> str:
    is_text = isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Const) and isinstance(node.arg.value, str)
    return str(node.arg.value) if is_text else ""  # type: ignore[attr-defined]  # checked above


def _closest(name: str, known: Iterable[str]) -> str:
    """The known name that `name` is probably a misspelling of; empty where none is near."""
    matches = get_close_matches(name.lower(), sorted(known), n=1, cutoff=0.6)
    return matches[0] if matches else ""
