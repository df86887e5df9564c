"""What every page must be, whoever passes it: accessible (axe-core), titled, one first heading, as wide as the screen, without
an error on its console (our Content-Security-Policy speaks there) and without a request to anybody else."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, ConsoleMessage, Page, Request, WebError

AXE = Path(__file__).resolve().parents[2] / "node_modules/axe-core/axe.min.js"
INLINE_SCHEMES = ("data:", "blob:", "about:")

# A mail inside a frame is its author's, not ours: axe looks at our page only.
RUN_AXE = """async () => (await axe.run({iframes: false})).violations.map(
    (one) => `${one.id}: ${one.help}: ${one.nodes.map((node) => node.html.slice(0, 200)).join(" | ")}`)"""
FACTS = """() => ({
    title: document.title.trim(),
    language: document.documentElement.lang,
    headings: document.querySelectorAll("h1").length,
    width: document.documentElement.scrollWidth,
    screen: window.innerWidth,
    unnamed: [...document.querySelectorAll("input, select, textarea")].filter(
        (field) => field.checkVisibility() && !field.labels?.length && !field.ariaLabel).map((field) => field.outerHTML),
})"""


class Watch:
    """Listens to all pages of a context, from its beginning."""

    def __init__(self, context: "BrowserContext", origin: str) -> None:
        self.origin = origin
        self.troubles: list[str] = []
        self.looked_at: list[str] = []
        context.on("console", self._hear)
        context.on("weberror", self._fail)
        context.on("request", self._follow)

    def _hear(self, message: "ConsoleMessage") -> None:
        # A refused form answers 4xx, which the browser reports of the document itself; of anything else it is trouble.
        told_by = message.location.get("url", "")
        if message.text.startswith("Failed to load resource") and message.page and told_by == message.page.url:
            return
        if message.type == "error" or "Content Security Policy" in message.text:
            self.troubles.append(f"console: {message.text} ({told_by})")

    def _fail(self, error: "WebError") -> None:
        self.troubles.append(f"script: {error.error}")

    def _follow(self, request: "Request") -> None:
        if not request.url.startswith((f"{self.origin}/", *INLINE_SCHEMES)):
            self.troubles.append(f"request to somebody else: {request.url}")

    def look(self, page: "Page") -> None:
        """Every problem of this page, with its address."""
        page.wait_for_load_state("networkidle")
        self.looked_at.append(page.url.removeprefix(self.origin))
        problems = problems_of(page) + self.troubles
        assert problems == [], f"{page.url} at {page.viewport_size}"


def problems_of(page: "Page") -> list[str]:
    facts: dict[str, Any] = page.evaluate(FACTS)
    problems = [] if facts["title"] else ["no title"]
    if facts["language"] not in ("es-PE", "es", "en"):
        problems.append(f"language: {facts['language']!r}")
    if facts["headings"] != 1:
        problems.append(f"{facts['headings']} first headings")
    if facts["width"] > facts["screen"]:
        problems.append(f"wider ({facts['width']}) than the screen ({facts['screen']}): {widest(page)}")
    problems += [f"field without a name: {field}" for field in facts["unnamed"]]
    page.evaluate(AXE.read_text(encoding="utf-8"))  # By the debugger, which no policy of the page stops.
    return problems + list(page.evaluate(RUN_AXE))


def widest(page: "Page") -> list[str]:
    """The elements that stand out to the right, but for what scrolls inside its own box."""
    return list(
        page.evaluate(
            """() => [...document.querySelectorAll("body *")].filter(
                (one) => one.getBoundingClientRect().right > window.innerWidth + 1
                    && !one.closest(".table-responsive, .campaign-tabs"))
                .slice(0, 4).map((one) => one.outerHTML.slice(0, 160))"""
        )
    )
