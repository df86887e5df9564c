import pytest
from hypothesis import given, settings
from jinja2.exceptions import TemplateSyntaxError

from app.mail.html_text import html_to_text
from app.mail.merge import Compiler
from app.mail.template_syntax import parse
from tests.unit.mail.test_html import any_html


@pytest.mark.parametrize(
    "source, text",
    [
        ("", ""),
        ("<p>Hola</p>", "Hola\n"),
        ("<p>Hola\n  a   todos</p><p>Adiós</p>", "Hola a todos\n\nAdiós\n"),
        ("uno<br>dos<br/><br>tres", "uno\ndos\n\ntres\n"),
        ("<div>uno</div><div>dos</div>", "uno\ndos\n"),
        ("<div><div><p>uno</p></div></div><div>dos</div>", "uno\n\ndos\n"),
        ("<h1>Feria</h1>Texto<h2>Fecha</h2>Hoy", "Feria\n\nTexto\n\nFecha\n\nHoy\n"),
        ("a <b>b</b> c<i> d </i>e", "a b c d e\n"),
        ("<ul><li>uno</li><li><p>dos</p></li></ul>", "- uno\n- dos\n"),
        ("<ol><li>uno<li>dos</ol>", "1. uno\n2. dos\n"),
        ("<ul><li>uno<ul><li>dentro</li></ul></li><li>dos</li></ul>", "- uno\n  - dentro\n- dos\n"),
        ("<table><tr><th>Día</th><th>Hora</th></tr><tr><td>Lunes</td><td>9</td></tr></table>",
         "Día | Hora\nLunes | 9\n"),
        ("<table><tr><td><p>uno</p></td><td><p>dos</p></td></tr></table>", "uno\n\ndos\n"),
        ('<a href="https://a.pe/?a=1&amp;b=2">Ver</a>.', "Ver (https://a.pe/?a=1&b=2).\n"),
        ('<a href="https://a.pe">https://a.pe</a> <a href="https://a.pe">a.pe</a>', "https://a.pe a.pe\n"),
        ('<a href="mailto:a@a.pe">Escríbanos</a>, <a href="mailto:a@a.pe">a@a.pe</a>',
         "Escríbanos (a@a.pe), a@a.pe\n"),
        ('<a href="#x">arriba</a> <a>ancla</a>', "arriba ancla\n"),
        ('<a href="https://a.pe"><img src="x" alt="Logo"></a>', "Logo (https://a.pe)\n"),
        ('<a href="https://a.pe"><img src="x"></a>', "https://a.pe\n"),
        ("a<hr>b", "a\n\n--------------------\n\nb\n"),
        ("<pre>a  b\n  c</pre>", "a  b\n  c\n"),
        ("&lt;b&gt; &amp; &eacute;&nbsp;x", "<b> & é x\n"),
        ("<head><title>t</title><style>p{}</style></head><script>x()</script>Hola", "Hola\n"),
        ("<head><style>p{}</style><body>Hola", "Hola\n"),
        ('<div style="display:none">oculto<div>más</div></div>Hola', "Hola\n"),
        ('<img style="display: none" alt="x">Hola', "Hola\n"),
        ("<!-- nota -->Hola<!--[if mso]><p>Outlook</p><![endif]-->", "Hola\n"),
        ("Hola {{ nombre|upper }},<br>{{ruc}}", "Hola {{ nombre|upper }},\n{{ruc}}\n"),
        ('<a href="{{ enlace_baja }}">Baja</a>', "Baja ({{ enlace_baja }})\n"),
        ('<a href="https://a.pe/{{ ruc }}">Ver</a>', "Ver (https://a.pe/{{ ruc }})\n"),
        ("{{ nombre|default('<b>') }}", "{{ nombre|default('<b>') }}\n"),
    ],
)  # fmt: skip
def test_text_reads_like_the_html(source: str, text: str):
    assert html_to_text(source) == text


def rendered(source: str, **values: str) -> str:
    return Compiler(encode_literal=str, encode_value=str).plan(html_to_text(source)).render(values)


@pytest.mark.parametrize(
    "source, without, with_ruc",
    [
        ("<p>a</p>{% if ruc %}<p>{{ ruc }}</p>{% endif %}<p>b</p>", "a\n\nb\n", "a\n\n20\n\nb\n"),
        ("<p>a</p>{% if ruc %}<p>x</p>{% else %}<p>y</p>{% endif %}<p>b</p>",
         "a\n\ny\n\nb\n", "a\n\nx\n\nb\n"),
        ("<p>Hola {% if ruc %}empresa{% else %}vecino{% endif %}, pase</p>",
         "Hola vecino, pase\n", "Hola empresa, pase\n"),
        ("<p>a</p><p>{% if ruc %}x{% endif %} b</p>", "a\n\n b\n", "a\n\nx b\n"),
        ("<ul><li>a</li>{% if ruc %}<li>x</li>{% endif %}<li>b</li></ul>", "- a\n- b\n", "- a\n- x\n- b\n"),
        ('<a {% if ruc %}href="https://a.pe"{% endif %}>Ver</a>', "Ver (https://a.pe)\n", "Ver (https://a.pe)\n"),
        ("<head>{% if ruc %}</head><p>x</p>{% endif %}<p>b</p>", "b\n", "x\n\nb\n"),
    ],
)  # fmt: skip
def test_paragraph_that_is_not_printed_leaves_no_hole(source: str, without: str, with_ruc: str):
    assert rendered(source).lstrip("\n") == without
    assert rendered(source, ruc="20").lstrip("\n") == with_ruc


def test_braces_that_were_entities_are_text_and_no_merge_tag():
    assert rendered("&#123;&#123; nombre }} &#123;% if %}", nombre="Rosa") == "{{ nombre }} {% if %}\n"


def test_if_that_begins_inside_a_tag_and_ends_outside_keeps_all_text():
    assert rendered("<p {% if ruc %}class='a'>x{% endif %}</p>y") == "x\n\ny\n"
    assert html_to_text("<a {% if ruc %}>{% endif %}") == ""


def test_broken_template_is_an_error():
    with pytest.raises(TemplateSyntaxError):
        html_to_text("Hola {{ nombre")


@settings(max_examples=500, deadline=None)
@given(any_html)
def test_text_of_any_html_is_a_template_again(source: str):
    try:
        parse(source)
        text = html_to_text(source)
    except TemplateSyntaxError:
        return
    parse(text)
    assert "\n\n\n" not in text.replace("{% if ruc %}", "").replace("{% endif %}", "") or "<pre" in source
    assert not text.startswith("\n")


@pytest.mark.parametrize("repeated", ["<ul><li>", "<div>", "<a href='x'>", "<td>", "<b> ", "&#123;"])
def test_deep_nesting_is_read_in_time(repeated: str):
    assert isinstance(html_to_text(repeated * 3000), str)
