import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jinja2.exceptions import TemplateSyntaxError

from app.mail.html import UnsubscribeFooter, absolute_uri, check_links, prepare_html
from app.mail.markup import attributes, pieces
from app.mail.problems import Severity

FOOTER = UnsubscribeFooter("¿Ya no quiere recibirlo?", "Darse de baja <aquí>")


def tracked(source: str) -> tuple[str, list[str]]:
    prepared = prepare_html(source, click_url=lambda index: f"T{index}", pixel_url=None, footer=None)
    return prepared.source, prepared.links


@pytest.mark.parametrize(
    "source, expected, links",
    [
        ('<a href="https://a.pe/x">x</a>', '<a href="T0">x</a>', ["https://a.pe/x"]),
        ("<a href='http://a.pe/x'>x</a>", "<a href='T0'>x</a>", ["http://a.pe/x"]),
        ("<a href=https://a.pe/x>x</a>", '<a href="T0">x</a>', ["https://a.pe/x"]),
        ('<A CLASS=b HREF = "HTTPS://a.pe/x" id=c>', '<A CLASS=b HREF = "T0" id=c>', ["https://a.pe/x"]),
        ('<map><area\nhref="https://a.pe"/></map>', '<map><area\nhref="T0"/></map>', ["https://a.pe"]),
        ('<a href="https://a.pe/?a=1&amp;b=2">', '<a href="T0">', ["https://a.pe/?a=1&b=2"]),
        ('<a href=" https://a.pe/\n x ">', '<a href="T0">', ["https://a.pe/%20x"]),
        ('<a href="https://ñandú.pe/añ o?q=é#ü">', '<a href="T0">',
         ["https://xn--and-6ma2c.pe/a%C3%B1%20o?q=%C3%A9#%C3%BC"]),
        ('<a href="https://ñandú.pe:8080/">', '<a href="T0">', ["https://xn--and-6ma2c.pe:8080/"]),
        ('<a href="https://a.pe/%C3%B1">', '<a href="T0">', ["https://a.pe/%C3%B1"]),
        ('<a title="href=\'https://b.pe\'" href="https://a.pe">',
         '<a title="href=\'https://b.pe\'" href="T0">', ["https://a.pe"]),
        ('<a data-href="https://b.pe" href="https://a.pe">', '<a data-href="https://b.pe" href="T0">',
         ["https://a.pe"]),
        ('<a href="https://a.pe" href="https://b.pe">', '<a href="T0" href="https://b.pe">', ["https://a.pe"]),
        ('<a href="https://a.pe/1"><a href="https://a.pe/2"><a href="https://a.pe/1">',
         '<a href="T0"><a href="T1"><a href="T0">', ["https://a.pe/1", "https://a.pe/2"]),
        ('<a {% if ruc %}href="https://a.pe"{% endif %}>', '<a {% if ruc %}href="T0"{% endif %}>', ["https://a.pe"]),
        ('<a title="{{ nombre|default(">") }}" href="https://a.pe">',
         '<a title="{{ nombre|default(">") }}" href="T0">', ["https://a.pe"]),
    ],
)  # fmt: skip
def test_web_links_are_tracked(source: str, expected: str, links: list[str]):
    assert tracked(source) == (expected, links)


@pytest.mark.parametrize(
    "source",
    [
        '<a href="mailto:a@example.pe">', '<a href="TEL:+51999">', '<a href="#abajo">', '<a href="">',
        "<a href>", "<a>",
        '<a href="{{ enlace_baja }}">', '<a href="{{ruc}}">', '<a href="https://a.pe/{{ ruc }}">',
        '<a href="{% if ruc %}https://a.pe{% endif %}">', '<a href="{% if ruc %}https://a.pe">{% endif %}',
        '<a href="javascript:alert(1)">', '<a href="/ruta">', '<a href="//a.pe">', '<a href="https://[bad">',
        '<a href="https:///x">', '<link href="https://a.pe"><img src="https://a.pe"><base href="https://a.pe">',
        '<!-- <a href="https://a.pe"> -->', '<style>a:after{content:\'<a href="https://a.pe">\'}</style>',
        '<script>x = "<a href=\'https://a.pe\'>"</script>', '<title><a href="https://a.pe"></title>',
        '<p title=\'<a href="https://a.pe">\'>', '{% if ruc == \'<a href="https://a.pe">\' %}{% endif %}',
        "{{ '<a href=https://a.pe>' }}", "<a href=\"https://a.pe", "a < b <a", "<abbr href='https://a.pe'>",
        "https://a.pe", "<!DOCTYPE html><?php <a href='https://a.pe'",
    ],
)  # fmt: skip
def test_everything_else_stays_as_it_is(source: str):
    assert tracked(source) == (source, [])


@pytest.mark.parametrize(
    "source, code, column",
    [
        ('<a href="https://a.pe/{{ ruc }}">', "link_not_tracked", 10),
        ('<a href="/ruta">', "link_relative", 10),
        ('<a href="www.example.pe">', "link_relative", 10),
        ('<a href="javascript:alert(1)">', "link_relative", 10),
        ("<a href='https://[bad'>", "link_invalid", 10),
    ],
)
def test_author_is_told_about_odd_links(source: str, code: str, column: int):
    (problem,) = check_links("<p>\n" + source)
    assert (problem.line, problem.column, problem.code, problem.severity) == (
        2,
        column,
        code,
        Severity.NOTICE,
    )
    assert str(problem)


def test_links_of_a_broken_template_are_not_checked():
    assert check_links('<a href="/x">{{ nombre') == []


def test_regular_links_give_no_notice():
    assert check_links('<a href="https://a.pe"><a href="{{ enlace_baja }}"><a href="mailto:a@a.pe"><a href="#x">') == []


def at_end(source: str, **changes: object) -> str:
    arguments = {"click_url": None, "pixel_url": "https://t.pe/o/x.gif", "footer": None} | changes
    return prepare_html(source, **arguments).source  # type: ignore[arg-type]


PIXEL = r'<img src="https://t.pe/o/x.gif" width="1" height="1" alt="" style="[^"]*">\n'


@pytest.mark.parametrize(
    "before, after",
    [
        ("<html><body>x", "</body></html>"),
        ("<html><BODY>x", "</BODY ></html>"),
        ("<html>x", "</html>"),
        ("x", ""),
        ("", ""),
        ("<body>{{ '</body>' }}<!-- </body> -->", "</body>"),
        ("<body>a</body>b", "</body>"),
    ],
)
def test_pixel_stands_at_the_end_of_the_body(before: str, after: str):
    assert re.fullmatch(re.escape(before) + PIXEL + re.escape(after), at_end(before + after))


def test_footer_is_added_where_the_author_left_no_way_out():
    result = at_end("<body>Hola</body>", footer=FOOTER, pixel_url=None)
    assert "¿Ya no quiere recibirlo?" in result
    assert '<a href="{{ enlace_baja }}"' in result
    assert "Darse de baja &lt;aquí&gt;</a></p>\n</body>" in result


def test_footer_may_have_merge_fields():
    footer = UnsubscribeFooter("Enviado a {{ email|default('usted') }}.", "Baja")
    assert "Enviado a {{ email|default('usted') }}." in at_end("x", footer=footer)


def test_footer_is_not_added_where_the_author_has_a_way_out():
    source = '<body><a href="{{ enlace_baja }}">Baja</a></body>'
    assert at_end(source, footer=FOOTER, pixel_url=None) == source


@pytest.mark.parametrize(
    "source",
    [
        "{{ 'enlace_baja' }} enlace_baja",
        "<!-- {{ enlace_baja }} -->",
        "{% if ruc %}{{ enlace_baja }}{% endif %}",
        "{% if enlace_baja %}x{% endif %}",
    ],
)
def test_way_out_that_not_everybody_sees_is_none(source: str):
    assert FOOTER.sentence in at_end(source, footer=FOOTER)


def test_broken_template_is_an_error_and_never_half_rewritten():
    with pytest.raises(TemplateSyntaxError):
        tracked('<a href="https://a.pe">{{ nombre')


html_fragments = st.sampled_from(
    [
        "<a ", "href=", '"', "'", "https://a.pe", ">", "<", "/", "</a>", "<!--", "-->", "<!", "<?", "<style>",
        "</style>", "<SCRIPT>", "</script >", "<p", "=", " ", "\n", "&amp;", "&", "{{ nombre }}", "x", "\x00",
        "{% if ruc %}", "{% endif %}", "</body>", "é", "<title>", "<area ", "<![CDATA[", "]]>", "</",
    ]
)  # fmt: skip
any_html = st.lists(html_fragments, max_size=20).map("".join)


@settings(max_examples=1000)
@given(any_html)
def test_pieces_cut_up_any_source_without_gaps(source: str):
    assert "".join(source[piece.start : piece.end] for piece in pieces(source)) == source
    for piece in pieces(source):
        if piece.kind == "start_tag":
            for attribute in attributes(source, piece):
                assert piece.start < attribute.start <= attribute.end < piece.end


@settings(max_examples=1000)
@given(any_html)
def test_rewriting_changes_nothing_but_addresses(source: str):
    try:
        result, links = tracked(source)
    except TemplateSyntaxError:
        return
    assert set(links) <= {link for link in links if link.startswith("https://a.pe")}
    kept = re.split(r'"?T[0-9]+"?', result)
    position = 0
    for piece in kept:
        found = source.find(piece, position)
        assert found >= 0
        position = found + len(piece)
    # What was tracked is stable: a second pass finds no web address left in a link.
    assert tracked(result)[1] == []


@pytest.mark.parametrize(
    "repeated",
    ["<a ", "<a href=", "<a href='", "<!--", "<!", "</", "<", "<style>", "<a href=\"'", "= ", "<a href='x\""],
)
def test_hostile_markup_takes_no_longer_than_any_other(repeated: str):
    source = (repeated * 200_000)[:400_000]
    assert sum(piece.end - piece.start for piece in pieces(source)) == len(source)


@pytest.mark.parametrize(
    "url", ["https://", "http:/a", "ftp://a.pe", "https://a.pe:x/", "https://ñ..pe/", "", "https://\ud800.pe"]
)
def test_what_is_no_web_address_is_none(url: str):
    assert absolute_uri(url) is None


@given(st.text(max_size=30), st.text(max_size=30))
def test_tracked_address_is_safe_in_a_header(host: str, path: str):
    uri = absolute_uri(f"https://{host}.pe/{path}")
    if uri is not None:
        assert uri.isascii()
        assert not re.search(r"[\x00-\x20\x7f\"<>\\^`{|}]", uri)
