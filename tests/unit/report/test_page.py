"""The page in a real browser: what it shows at both widths, and that hostile text never runs."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tokgate.report.write import write_report
from tokgate.store.files import write_atomically
from tokgate.store.runs import RECORD, RunRecord

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt install chromium")

Open = Callable[..., Page]

HOSTILE = (
    "</script><script>window.ran = 1</script>",
    "<img src=x onerror='window.ran = 2'>",
    "\"'><svg onload=window.ran=3>",
    "javascript:window.ran=4",
    "<a href='javascript:window.ran=5'>x</a>",
    "{{ cycler.__init__ }}<!--",
)
PAYLOAD = " ".join(HOSTILE)
QUOTING = (
    "changed",
    "verdicts",
    "claims",
    "trust",
    "trends",
    "latency",
    "host",
    "unchecked",
    "launches",
    "machine",
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS)) as browser,
    ):
        yield browser


@pytest.fixture
def opened(browser: Browser, tmp_path: Path) -> Iterator[Open]:
    """Opens a page's text as a file; whatever dialog, error or request it makes fails the test."""
    wrong: list[str] = []
    contexts = []

    def open_(html: str, *, width: int = 1280, scheme: Any = "light", **options: Any) -> Page:
        file = tmp_path / "report.html"
        file.write_text(html)
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, **options)
        contexts.append(context)
        page = context.new_page()
        page.on("dialog", lambda dialog: wrong.append(f"dialog {dialog.message}"))
        page.on("pageerror", lambda error: wrong.append(f"error {error}"))
        page.on("console", lambda message: wrong.append(f"{message.type} {message.text}"))
        page.on("request", lambda request: None if request.url == file.as_uri() else wrong.append(request.url))
        page.goto(file.as_uri())
        return page

    yield open_
    for context in contexts:
        context.close()
    assert not wrong


@pytest.fixture(scope="module")
def html(runs: Path, slow_night: RunRecord, tmp_path_factory: pytest.TempPathFactory) -> str:
    file = tmp_path_factory.mktemp("page") / "report.html"
    write_report(runs / slow_night.run_id, runs, html=file)
    return file.read_text()


def draw_all(page: Page) -> int:
    """Go through the whole page so that every chart comes into view; how many have been drawn."""
    boxes = page.locator("[data-chart]")
    for at in range(boxes.count()):
        boxes.nth(at).scroll_into_view_if_needed()
        boxes.nth(at).locator("svg.main-svg").first.wait_for()
    return page.locator("[data-chart]:has(svg.main-svg)").count()


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_it_fits_its_width_and_draws_every_chart(opened: Open, html: str, width: int, scheme: str) -> None:
    page = opened(html, width=width, scheme=scheme)
    assert page.locator("h1").inner_text() == "2 of 12 figures got worse and 1 claim contradicted."
    heading = page.locator("h1").bounding_box()
    assert heading is not None
    assert heading["y"] < 300, "the verdict is what is seen first"
    assert draw_all(page) == 6 + 2 + 1
    assert page.evaluate("document.documentElement.scrollWidth") == width
    # Told apart by their words and symbols, whatever the colours are.
    assert {"▼ regressed", "✓ pass", "? inconclusive"} <= {
        " ".join(text.split()) for text in page.locator("td .badge").all_inner_texts()
    }


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_stand_out_from_their_ground(opened: Open, html: str, scheme: str) -> None:
    """WCAG AA: 4.5 to 1 for text of this size."""
    page = opened(html, scheme=scheme)
    lowest = page.evaluate(
        """() => {
          const light = (colour) => colour.match(/[\\d.]+/g).slice(0, 3).map((one) => one / 255)
            .map((one) => one <= .04045 ? one / 12.92 : ((one + .055) / 1.055) ** 2.4)
            .reduce((sum, one, at) => sum + one * [.2126, .7152, .0722][at], 0);
          const ground = (box) => {
            for (; box; box = box.parentElement) {
              const colour = getComputedStyle(box).backgroundColor;
              if (!/, 0\\)$|transparent/.test(colour)) return colour;
            }
          };
          const ratio = (box) => {
            const [a, b] = [light(getComputedStyle(box).color), light(ground(box))].sort((x, y) => y - x);
            return (a + .05) / (b + .05);
          };
          const boxes = document.querySelectorAll("h1, h2, p, li, td, th, dt, dd, a, summary, .badge, .state");
          return Math.min(...[...boxes].map(ratio));
        }"""
    )
    assert lowest >= 4.5


def test_it_is_complete_without_javascript(opened: Open, html: str) -> None:
    page = opened(html, java_script_enabled=False)
    text = page.locator("main").inner_text()
    for said in (
        "llamacpp-q4",
        "regressed",
        "173.",
        "shm-size",
        "kernel: 6.17 → 6.18",
        "GPU power, W",
        "564",
    ):
        assert said in text


def test_it_is_read_by_keyboard(opened: Open, html: str) -> None:
    page = opened(html)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the verdicts"
    page.keyboard.press("Enter")
    assert page.url.endswith("#verdicts")
    summary = page.locator("summary", has_text="The reason of each verdict")
    summary.focus()
    page.keyboard.press("Enter")
    assert page.locator("details[open] dd").first.is_visible()


def test_hostile_text_in_every_field_is_only_text(
    opened: Open, box: Any, slow_night: RunRecord, tmp_path: Path
) -> None:
    for name, record in (("a", box.night(1)), ("b", slow_night)):
        write_atomically(tmp_path / "runs" / name / RECORD, msgspec.json.encode(hostile(record)))
    file = tmp_path / "made.html"
    write_report(tmp_path / "runs" / "b", tmp_path / "runs", html=file)
    page = opened(file.read_text())
    assert draw_all(page) == 6 + 2 + 1
    for summary in page.locator("summary").all():
        summary.click()
    links = page.locator("td a, section p a").all()
    assert links
    assert {link.evaluate("one => one.protocol") for link in links} == {"file:"}
    assert page.evaluate("window.ran") is None
    assert page.locator("script").count() == 3
    assert page.locator("img, iframe, [onload], [onerror], [onclick]").count() == 0
    # Every part of the page that quotes a record shows it as it is.
    for part in ("header", "footer", *(f"section:has(#{name})" for name in QUOTING)):
        assert PAYLOAD in page.locator(part).first.inner_text(), part
    # plotly.js draws its labels itself: as text, and without a link.
    assert page.locator(".legendtext").first.text_content() == f"chat-c1 {PAYLOAD}"
    assert page.locator("[data-chart] a").count() == 0


def test_injected_script_does_not_run(browser: Browser, html: str, tmp_path: Path) -> None:
    """The second line: the page's policy stops what escaping would have let through."""
    file = tmp_path / "forged.html"
    file.write_text(html.replace("<h1>", "<h1><script>window.ran = 1</script><b onclick='window.ran = 2'>x</b>", 1))
    page = browser.new_page()
    page.goto(file.as_uri())
    page.locator("h1 b").click()
    assert page.evaluate("window.ran") is None
    page.close()


def hostile(record: RunRecord) -> RunRecord:
    """The record with a hostile text in every field that may hold any text, and in the names of facts."""

    def soiled(value: object, key: str = "") -> object:
        if isinstance(value, dict):
            return {
                f"{name} {PAYLOAD}" if key == "facts" and "gpu" in value else name: soiled(one, name)
                for name, one in value.items()
            }
        if isinstance(value, list | tuple):
            return [soiled(one, key) for one in value]
        if not isinstance(value, str) or key in FIXED:
            return value
        # A server is named after a file; with a slash it is the arm of an experiment.
        return f"{value} {PAYLOAD.replace('/', '') if key == 'server' else PAYLOAD}"

    made = msgspec.convert(soiled(msgspec.to_builtins(record)), RunRecord)
    conditions = {f"{name} {PAYLOAD}": given for name, given in made.conditions.items()}
    return msgspec.structs.replace(made, conditions=conditions)


FIXED = {"outcome", "kind", "weight", "engine", "started", "ended", "metric", "status", "fails", "design"}
"""What only a fixed set of words, or a time, can be."""
