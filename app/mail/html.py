"""The author's HTML, found and rewritten by position: what isn't a link, the pixel's or the footer's place
stays as it is.

`markup` says where the tags are; nothing is serialised anew. Merge tags are masked before it reads
(with as many characters, so that places agree), because `{% if ruc == "<a>" %}` is no markup.

Links: the http and https addresses of `<a>` and `<area>` become tracked ones, numbered in the list of
distinct addresses. mailto:, tel:, `#…` and `{{ enlace_baja }}` stay. An address with a merge tag inside stays
as well, untracked: it has no one target that a redirect could be limited to, and a redirect that takes its
target from the request would be an open door for phishing. The author gets a notice.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from html import escape
from typing import NamedTuple
from urllib.parse import quote, urlsplit

from jinja2.exceptions import TemplateSyntaxError

from app.mail.addresses import domain_to_ascii
from app.mail.markup import Attribute, attributes, pieces
from app.mail.merge_language import UNSUBSCRIBE_FIELD, Part
from app.mail.problems import Severity, TemplateProblem
from app.mail.quoted_printable import clean_text
from app.mail.template_syntax import Place, Region, regions
from app.mail.templates import always_printed, fields_used

# Stands for a merge tag while HTML is parsed: a letter where a value will stand, a blank where nothing will.
_MASK = {"output": "x", "statement": " "}
# Browsers strip them from addresses (WHATWG URL §4.4), so an address wrapped over two lines still works.
_IGNORED_IN_URL = re.compile("[\t\n\r]")
_LINK_TAGS = frozenset({"a", "area"})
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


def mask_merge_tags(source: str, found: list[Region]) -> str:
    """`source` with harmless characters for its merge tags; every other character keeps its place."""
    masked: list[str] = []
    position = 0
    for region in found:
        masked += [source[position : region.start], _MASK[region.kind] * (region.end - region.start)]
        position = region.end
    return "".join([*masked, source[position:]])


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
    footer: used only where the author's HTML has no `{{ enlace_baja }}` that every recipient gets
    """
    source = clean_text(source)
    merge_tags = regions(source)
    markup = mask_merge_tags(source, merge_tags)
    links, edits, problems = _link_edits(source, merge_tags, markup, click_url)
    at_end = ""
    if footer is not None and not _has_way_out(source, markup):
        at_end += footer_html(footer)
    if pixel_url is not None:
        at_end += _pixel_html(pixel_url)
    if at_end:
        end = _end_of_body(markup)
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
    source: str, merge_tags: list[Region], markup: str, click_url: Callable[[int], str] | None
) -> tuple[list[str], list[_Edit], list[TemplateProblem]]:
    index_of: dict[str, int] = {}
    edits: list[_Edit] = []
    problems: list[TemplateProblem] = []
    place = Place(source)
    for href in _hrefs(markup):
        target = _classify(href, source, merge_tags)
        if isinstance(target, _Complaint):
            line, column = place.of(href.start)
            problems.append(
                TemplateProblem(
                    line,
                    column,
                    target.code,
                    {"url": source[href.start : href.end][:100]},
                    Part.HTML,
                    Severity.NOTICE,
                )
            )
        elif target is not None and click_url is not None:
            index = index_of.setdefault(target, len(index_of))
            tracked = escape(click_url(index))
            edits.append(_Edit(href.start, href.end, tracked if href.is_quoted else f'"{tracked}"'))
    return list(index_of), edits, problems


def _hrefs(markup: str) -> Iterator[Attribute]:
    for piece in pieces(markup):
        if piece.kind == "start_tag" and piece.name in _LINK_TAGS:
            found = [attribute for attribute in attributes(markup, piece) if attribute.name == "href"]
            yield from found[:1]


def _end_of_body(markup: str) -> int:
    """Before the last `</body>`, or `</html>`, or at the very end."""
    ends = {piece.name: piece.start for piece in pieces(markup) if piece.kind == "end_tag"}
    return ends.get("body", ends.get("html", len(markup)))


class _Complaint(NamedTuple):
    code: str


def _classify(href: Attribute, source: str, merge_tags: list[Region]) -> str | _Complaint | None:
    """The address to track; or what is odd about it; or None for one that is rightly left alone."""
    inside = [tag for tag in merge_tags if tag.start < href.end and tag.end > href.start]
    if inside:
        return None if _is_way_out(source, inside) else _Complaint("link_not_tracked")
    url = _IGNORED_IN_URL.sub("", href.value).strip()
    scheme, colon, _ = url.partition(":")
    if not url or url.startswith("#") or (colon and scheme.lower() in _UNTRACKED_SCHEMES):
        return None
    if scheme.lower() not in ("http", "https") or not colon:
        return _Complaint("link_relative")
    return absolute_uri(url) or _Complaint("link_invalid")


def _has_way_out(source: str, markup: str) -> bool:
    """Whether everybody gets the unsubscribe link: in no `if`, in no comment."""
    offsets = always_printed(source, UNSUBSCRIBE_FIELD)
    comments = [piece for piece in pieces(markup) if piece.kind == "comment"] if offsets else []
    return any(not any(piece.start < offset < piece.end for piece in comments) for offset in offsets)


def _is_way_out(source: str, merge_tags: list[Region]) -> bool:
    return all(
        tag.kind == "output" and fields_used(source[tag.start : tag.end]) == {UNSUBSCRIBE_FIELD} for tag in merge_tags
    )


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


def _apply(source: str, edits: list[_Edit]) -> str:
    kept: list[str] = []
    position = 0
    for edit in sorted(edits):
        kept += [source[position : edit.start], edit.text]
        position = edit.end
    return "".join([*kept, source[position:]])
