"""The author's HTML, found and rewritten by position: what isn't a link, the pixel's or the footer's place
stays as it is.

The standard library's parser says where the tags are; it never writes. Merge tags are masked before it reads
(with as many characters, so that places agree), because `{% if ruc == "<a>" %}` is no markup.

Links: the http and https addresses of `<a>` and `<area>` become tracked ones, numbered in the list of
distinct addresses. mailto:, tel:, `#…` and `{{ enlace_baja }}` stay. An address with a merge tag inside stays
as well, untracked: it has no one target that a redirect could be limited to, and a redirect that takes its
target from the request would be an open door for phishing. The author gets a notice.
"""

from collections.abc import Callable
from dataclasses import dataclass
from html import escape, unescape
from html.parser import HTMLParser
from re import compile as compile_pattern
from typing import NamedTuple
from urllib.parse import quote, urlsplit

from jinja2.exceptions import TemplateSyntaxError

from app.mail.addresses import domain_to_ascii
from app.mail.problems import Severity, TemplateProblem
from app.mail.quoted_printable import clean_text
from app.mail.template_syntax import Place, Region, regions
from app.mail.templates import UNSUBSCRIBE_FIELD, Part, fields_used

# Stands for a merge tag while HTML is parsed: a letter where a value will stand, a blank where nothing will.
_MASK = {"output": "x", "statement": " "}
_LINK_TAGS = frozenset({"a", "area"})
# One attribute inside a start tag, as browsers read it: name, and perhaps a quoted or bare value.
_ATTRIBUTE = compile_pattern(r"""([^\s/>=][^\s/>=]*)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s>"'][^\s>]*)))?""")
_UNTRACKED_SCHEMES = frozenset({"mailto", "tel", "sms", "whatsapp", "geo", "data", "cid"})
# Everything that may stand in a URI (RFC 3986 §2.2, §2.3), and "%" of what is encoded already.
_URI_SAFE = "!#$%&'()*+,/:;=?@[]~"


@dataclass(frozen=True, slots=True)
class UnsubscribeFooter:
    """What is put below a mail whose author left the way out away; both are merge templates."""

    sentence: str
    link_label: str


@dataclass(frozen=True, slots=True)
class PreparedHtml:
    """`source` is still a merge template; `links[i]` is where the tracked link number i leads."""

    source: str
    links: list[str]
    problems: list[TemplateProblem]


class _Edit(NamedTuple):
    start: int
    end: int
    text: str


class _Href(NamedTuple):
    """The value of a link's href, without its quotation marks, and the address in it."""

    start: int
    end: int
    is_quoted: bool
    url: str


def mask_merge_tags(source: str, found: list[Region]) -> str:
    """`source` with harmless characters for its merge tags; every other character keeps its place."""
    pieces: list[str] = []
    position = 0
    for region in found:
        pieces += [source[position : region.start], _MASK[region.kind] * (region.end - region.start)]
        position = region.end
    return "".join([*pieces, source[position:]])


class _TagFinder(HTMLParser):
    """Where start tags with links and the ends of body and html are."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.links: list[tuple[int, str]] = []
        self.end_tags: dict[str, int] = {}
        self._line_starts = [0] + [index + 1 for index, sign in enumerate(source) if sign == "\n"]
        self.feed(source)
        self.close()

    def _offset(self) -> int:
        line, column = self.getpos()
        return self._line_starts[line - 1] + column

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _LINK_TAGS:
            self.links.append((self._offset(), self.get_starttag_text() or ""))

    def handle_endtag(self, tag: str) -> None:
        if tag in ("body", "html"):
            self.end_tags[tag] = self._offset()


def prepare_html(
    source: str,
    *,
    click_url: Callable[[int], str] | None,
    pixel_url: str | None,
    footer: UnsubscribeFooter | None,
) -> PreparedHtml:
    """Tracked links, open pixel and footer put into a checked merge template.

    click_url: the tracked address of the link with that index; None leaves links alone
    pixel_url: the open pixel's address; None for no pixel
    footer: used only where the author's HTML has no `{{ enlace_baja }}`
    """
    source = clean_text(source)
    merge_tags = regions(source)
    finder = _TagFinder(mask_merge_tags(source, merge_tags))
    links, edits, problems = _link_edits(source, merge_tags, finder, click_url)
    at_end = ""
    if footer is not None and UNSUBSCRIBE_FIELD not in fields_used(source):
        at_end += footer_html(footer)
    if pixel_url is not None:
        at_end += _pixel_html(pixel_url)
    if at_end:
        end = finder.end_tags.get("body", finder.end_tags.get("html", len(source)))
        edits.append(_Edit(end, end, at_end))
    return PreparedHtml(_apply(source, edits), links, problems)


def check_links(source: str) -> list[TemplateProblem]:
    """Notices about links that lead nowhere or can't be counted; nothing for a broken template."""
    try:
        return prepare_html(source, click_url=str, pixel_url=None, footer=None).problems
    except TemplateSyntaxError:
        return []


def footer_html(footer: UnsubscribeFooter) -> str:
    """The footer as HTML; quotation marks stay, since they may belong to a merge tag."""
    return (
        '<p style="margin:24px 16px;font:12px/1.5 Arial,sans-serif;color:#595959;text-align:center">'
        f"{escape(footer.sentence, quote=False)} "
        f'<a href="{{{{ {UNSUBSCRIBE_FIELD} }}}}" style="color:#595959">'
        f"{escape(footer.link_label, quote=False)}</a></p>\n"
    )


def footer_text(footer: UnsubscribeFooter) -> str:
    return f"\n\n{footer.sentence}\n{footer.link_label}: {{{{ {UNSUBSCRIBE_FIELD} }}}}\n"


def _pixel_html(url: str) -> str:
    style = "display:block;border:0;width:1px;height:1px"
    return f'<img src="{escape(url)}" width="1" height="1" alt="" style="{style}">\n'


def _link_edits(
    source: str, merge_tags: list[Region], finder: _TagFinder, click_url: Callable[[int], str] | None
) -> tuple[list[str], list[_Edit], list[TemplateProblem]]:
    index_of: dict[str, int] = {}
    edits: list[_Edit] = []
    problems: list[TemplateProblem] = []
    place = Place(source)
    for offset, tag in finder.links:
        href = _find_href(offset, tag)
        if href is None:
            continue
        target = _classify(href, source, merge_tags)
        if isinstance(target, _Complaint):
            line, column = place.of(href.start)
            problems.append(
                TemplateProblem(line, column, target.code, {"url": href.url[:100]}, Part.HTML, Severity.NOTICE)
            )
        elif target is not None and click_url is not None:
            index = index_of.setdefault(target, len(index_of))
            tracked = escape(click_url(index))
            edits.append(_Edit(href.start, href.end, tracked if href.is_quoted else f'"{tracked}"'))
    return list(index_of), edits, problems


class _Complaint(NamedTuple):
    code: str


def _classify(href: _Href, source: str, merge_tags: list[Region]) -> str | _Complaint | None:
    """The address to track; or what is odd about it; or None for one that is rightly left alone."""
    inside = [tag for tag in merge_tags if tag.start < href.end and tag.end > href.start]
    if inside:
        is_way_out = len(inside) == 1 and UNSUBSCRIBE_FIELD in source[inside[0].start : inside[0].end]
        return None if is_way_out else _Complaint("link_not_tracked")
    url = "".join(href.url.split()) if "\n" in href.url or "\t" in href.url else href.url.strip()
    scheme, colon, _ = url.partition(":")
    if not url or url.startswith("#") or (colon and scheme.lower() in _UNTRACKED_SCHEMES):
        return None
    if scheme.lower() not in ("http", "https") or not colon:
        return _Complaint("link_relative")
    return absolute_uri(url) or _Complaint("link_invalid")


def absolute_uri(url: str) -> str | None:
    """A web address as an ASCII URI (RFC 3987 §3.1), safe in a Location header; None where it is none."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not host:
        return None
    network_place = parts.netloc
    if not host.isascii():
        ascii_host = domain_to_ascii(host)
        if ascii_host is None:
            return None
        userinfo, at, host_and_port = network_place.rpartition("@")
        port = host_and_port.partition(":")[1:]
        network_place = userinfo + at + ascii_host + "".join(port)
    return quote(parts._replace(netloc=network_place).geturl(), safe=_URI_SAFE)


def _find_href(offset: int, tag: str) -> _Href | None:
    """The first href of a start tag (`<a …>`), as browsers take the first of two."""
    name_end = 1
    while name_end < len(tag) and tag[name_end] not in " \t\n\f/>":
        name_end += 1
    for found in _ATTRIBUTE.finditer(tag, name_end):
        if found[1].lower() != "href":
            continue
        group = next((number for number in (2, 3, 4) if found[number] is not None), None)
        if group is None:
            return None
        start, end = found.span(group)
        return _Href(offset + start, offset + end, group != 4, unescape(found[group]))
    return None


def _apply(source: str, edits: list[_Edit]) -> str:
    pieces: list[str] = []
    position = 0
    for edit in sorted(edits):
        pieces += [source[position : edit.start], edit.text]
        position = edit.end
    return "".join([*pieces, source[position:]])
