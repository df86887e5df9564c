"""What holds for every template and page: strict CSP, nothing inline, no text outside gettext."""

import ast
import re
from html.parser import HTMLParser
from pathlib import Path

import jinja2
import pytest
from jinja2 import nodes

from tests.fixtures.app import log_in

APP = Path(__file__).resolve().parents[2] / "app"
TEMPLATES = sorted((APP / "templates").rglob("*.html"))
CODE = sorted(path for folder in ("web",) for path in (APP / folder).rglob("*.py"))

INLINE = {
    "script without a file": re.compile(r"<script(?![^>]*\bsrc=)", re.I),
    "style element": re.compile(r"<style\b", re.I),
    "style attribute": re.compile(r"""\sstyle\s*=\s*["']""", re.I),
    "event handler": re.compile(r"""\son[a-z]+\s*=\s*["']""", re.I),
    "javascript address": re.compile(r"""=\s*["']\s*javascript:""", re.I),
    "htmx script": re.compile(r"\shx-(on|vars|headers\s*=\s*[\"']js)", re.I),
}

SANDBOXED = {"campaigns/_preview_problems.html": ["style element"]}
"""Shown inside the frame of a mail only, under ``MAIL_PREVIEW_POLICY``: no script runs there, and no file is reached."""

NAMES = {
    "Chaski",
    "Español",
    "English",
    "es",
    "en",
    "·",
    "DKIM",
    "SPF",
    "DMARC",
    "MX",
    "TXT",
    "CSV",
    "HTML",
    "PostgreSQL",
    "RabbitMQ",
    "Redis",
}
"""Words that are the same in every language."""
SPOKEN_ATTRIBUTES = {"title", "alt", "placeholder", "aria-label", "aria-description", "data-confirm", "label"}
LETTERS = re.compile(r"[^\W\d_]{2,}")


def environment():
    return jinja2.Environment(extensions=["jinja2.ext.i18n", "jinja2.ext.do", "jinja2.ext.loopcontrols"])  # noqa: S701


# Nothing inline.


def inline_parts(source):
    """Kinds of inline script or style in a template's own text (comments left out)."""
    source = re.sub(r"\{#.*?#\}", "", source, flags=re.S)
    return [kind for kind, pattern in INLINE.items() if pattern.search(source)]


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: str(path.relative_to(APP)))
def test_no_template_has_inline_script_or_style(path):
    allowed = SANDBOXED.get(str(path.relative_to(APP / "templates")), [])
    assert inline_parts(path.read_text()) == allowed


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ("<script>alert(1)</script>", "script without a file"),
        ('<script type="module">x</script>', "script without a file"),
        ("<style>p{}</style>", "style element"),
        ('<p style="color:red">', "style attribute"),
        ("<a onclick='x()'>", "event handler"),
        ('<a href="javascript:x">', "javascript address"),
        ('<div hx-on:click="x">', "htmx script"),
    ],
)
def test_inline_parts_are_found(source, kind):
    assert inline_parts(source) == [kind]


# No text outside gettext.


class SpokenText(HTMLParser):
    """Collects what people would read or hear."""

    def __init__(self):
        super().__init__()
        self.texts = []
        self._code = 0

    def handle_starttag(self, tag, attributes):
        self._code += tag in ("code", "script", "style", "pre")
        self.texts += [value for name, value in attributes if name in SPOKEN_ATTRIBUTES and value]

    def handle_endtag(self, tag):
        self._code -= tag in ("code", "script", "style", "pre")

    def handle_data(self, text):
        if not self._code:
            self.texts.append(text)


def hard_coded(source):
    """Words of a template's literal text that no gettext call produced."""
    parser = SpokenText()
    tree = environment().parse(source)
    # An expression becomes a blank sign, so that tags around it stay whole.
    literal = "".join(
        part.data if isinstance(part, nodes.TemplateData) else "\x00"
        for output in tree.find_all(nodes.Output)
        for part in output.nodes
    )
    parser.feed(literal)
    parser.close()
    spoken = " ".join(parser.texts)
    return sorted({word for word in LETTERS.findall(spoken) if word not in NAMES})


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: str(path.relative_to(APP)))
def test_no_template_has_text_outside_gettext(path):
    assert hard_coded(path.read_text()) == []


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("<p>Hola</p>", ["Hola"]),
        ("<p>{{ _('Hola') }}</p>", []),
        ("<p>{% trans %}Hola{% endtrans %}</p>", []),
        ('<a title="Ayuda" href="{{ x }}">{{ y }}</a>', ["Ayuda"]),
        ('<a title="{{ _("Ayuda") }}" class="btn primary">{{ y }}</a>', []),
        ("{% if x %}<b>Chaski</b>{% else %}No hay{% endif %}", ["No", "hay"]),
        ('<input placeholder="Buscar">', ["Buscar"]),
        ("<code>script/server</code>", []),
    ],
)
def test_hard_coded_text_in_templates_is_found(source, words):
    assert hard_coded(source) == words


SPEAKING_CALLS = {"flash": 0, "ValidationError": 0, "StopValidation": 0}
FIELD = re.compile(r"(?:[A-Z]\w*)?Field$")
SENTENCE = re.compile(r"[^\W\d_]+ [^\W\d_]+ [^\W\d_]+")


def spoken_literals(source):
    """Line numbers of literals that people would read: flashes, form labels and messages, Spanish sentences."""
    lines = set()
    for call in (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)):
        name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        spoken = []
        if name in SPEAKING_CALLS or FIELD.fullmatch(name):
            spoken += call.args[:1]
        if name in ("abort",):
            spoken += call.args[1:2]
        spoken += [k.value for k in call.keywords if k.arg in ("description", "message", "label") and name != "option"]
        lines |= {node.lineno for node in spoken if is_text(node)}
    return sorted(lines)


def is_text(node):
    if isinstance(node, ast.JoinedStr):
        return any(is_text(value) for value in node.values)
    return isinstance(node, ast.Constant) and isinstance(node.value, str) and bool(LETTERS.search(node.value))


@pytest.mark.parametrize("path", CODE, ids=lambda path: str(path.relative_to(APP)))
def test_no_view_has_text_outside_gettext(path):
    assert spoken_literals(path.read_text()) == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("flash('Se guardó')", [1]),
        ("flash(_('Se guardó'))", []),
        ("flash(f'Se guardó {name}')", [1]),
        ("name = StringField('Nombre')", [1]),
        ("name = StringField(_l('Nombre'))", []),
        ("DataRequired(message='Falta')", [1]),
        ("abort(400, 'No se puede')", [1]),
        ("abort(400)", []),
        ("StringField(_l('x'), description='Ayuda')", [1]),
    ],
)
def test_hard_coded_text_in_views_is_found(source, found):
    assert spoken_literals(source) == found


# Headers.


@pytest.mark.parametrize(
    "path", ["/login", "/", "/p/empleo/", "/p/empleo/settings", "/nowhere", "/healthz", "/static/css/chaski.css"]
)
def test_every_answer_has_the_security_headers(client, alice, path):
    headers = log_in(client, alice).get(path).headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"
    assert "frame-ancestors 'self'" in policy
