"""The page in a real browser: what is drawn, what is said, what is fetched (nothing)."""

import os

import chromium
import pytest
import sample_report

from vr.pipeline.page import render

pytestmark = pytest.mark.browser

DRAWN = """[...document.querySelectorAll('[data-plot]')].map(e => {
  const svg = e.querySelector('svg');
  const kinds = ['rect', 'symbol', 'line', 'area'].map(kind => `.mark-${kind} path`).join();
  const marks = svg ? [...svg.querySelectorAll(kinds)] : [];
  const seen = marks.filter(m => { const b = m.getBBox(); return b.width + b.height > 1; });
  return [e.dataset.plot, seen.length, svg ? svg.getBoundingClientRect().width / e.clientWidth : 0];
})"""
# WCAG contrast of each text with what lies behind it.
CONTRAST = """(() => {
  const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  const rgb = c => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = c; canvas.fillRect(0, 0, 1, 1);
                     return [...canvas.getImageData(0, 0, 1, 1).data]; };
  const light = c => c.slice(0, 3).map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
                      .reduce((s, v, i) => s + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = e => {
    for (; e; e = e.parentElement) { const c = rgb(getComputedStyle(e).backgroundColor); if (c[3] === 255) return c; }
    return [255, 255, 255, 255];
  };
  const found = [];
  const texts = 'h1,h2,h3,p,th,td,dd,dt,a,button,summary,figcaption span,.z,.name,.value,.why,.ends *,svg text';
  for (const e of document.querySelectorAll(texts)) {
    if (!e.textContent.trim() || !e.getClientRects().length) continue;
    const style = getComputedStyle(e);
    const a = light(rgb(e instanceof SVGElement ? style.fill : style.color)), b = light(behind(e));
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) found.push([ratio.toFixed(2), e.tagName, e.textContent.trim().slice(0, 40)]);
  }
  return found;
})()"""


@pytest.fixture(scope="module")
def tab():
    if chromium.find_chromium() is None:
        if os.environ.get("VR_REQUIRE_BROWSER") == "1":
            pytest.fail("chromium is not installed, and VR_REQUIRE_BROWSER=1 asks for it")
        pytest.skip("chromium is not installed")
    with chromium.browser() as page:
        yield page


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Files of the sample reports, written when first asked for."""
    folder = tmp_path_factory.mktemp("pages")

    def path(name: str):
        file = folder / f"{name}.html"
        if not file.exists():
            file.write_text(render(getattr(sample_report, name)()), encoding="utf-8")
        return file

    return path


@pytest.fixture
def opened(tab, pages):
    def show(name: str, **window):
        tab.console.clear()
        tab.requests.clear()
        tab.open(pages(name), **window)
        return tab

    return show


@pytest.mark.parametrize("name", ["approve", "reject", "reference_free", "hostile"])
def test_charts_are_drawn_without_complaint_or_request(opened, pages, name):
    page = opened(name)
    drawn = page.run(DRAWN)
    assert page.console == []
    assert [url for url in page.requests if not url.startswith("data:")] == [pages(name).resolve().as_uri()]
    assert all(marks > 0 for _, marks, _ in drawn), drawn
    assert all(0.9 < width <= 1.01 for _, _, width in drawn), drawn
    assert bool(drawn) == (name != "reference_free")
    assert page.run("document.title").startswith(("Approve", "Reject", "Review"))
    assert page.run("document.images.length") == 0


def test_policy_stops_what_the_page_did_not_bring(opened):
    page = opened("reference_free")
    blocked = page.run(
        """new Promise(done => {
          addEventListener('securitypolicyviolation', e => done(e.violatedDirective), {once: true});
          const s = document.createElement('script');
          s.textContent = 'document.title = "owned"';
          document.body.append(s);
        })"""
    )
    assert blocked.startswith("script-src")
    assert page.run("document.title") != "owned"
    assert page.run("fetch('data:text/plain,x').then(() => 'fetched', () => 'refused')") == "refused"


def test_first_screen_holds_the_answer(opened):
    page = opened("reject", width=1280, height=800)
    bottoms = page.run("[...document.querySelectorAll('.hero .card')].map(e => e.getBoundingClientRect().bottom)")
    assert len(bottoms) == 4
    assert max(bottoms) <= 800


@pytest.mark.parametrize("width", [1280, 1100])
def test_numbers_stand_above_the_chart_on_the_whole_width(opened, width):
    page = opened("reject", width=width, height=800)
    shapes = page.run(
        """[...document.querySelectorAll('.dimension')].map(card => {
          const box = e => e && e.getBoundingClientRect();
          const [table, chart] = [box(card.querySelector('.metrics')), box(card.querySelector('.plots'))];
          return [table.width / card.clientWidth, chart ? chart.top - table.bottom : 1];
        })"""
    )
    assert len(shapes) == 8
    assert all(share > 0.9 and below >= 0 for share, below in shapes), shapes


def test_hover_shows_the_values_of_a_mark(opened):
    page = opened("reject")
    for kind, words in (
        ("overlay", "candidate"),
        ("overlay-side", "reference"),
        ("matrix", "difference"),
        ("lines", "training step"),
        ("bars", "real against real"),
        ("strip", "score"),
    ):
        x, y = page.run(
            f"""(() => {{
              const e = document.querySelector('.k-{kind} .chart');
              e.scrollIntoView({{block: 'center', behavior: 'instant'}});
              const marks = [...e.querySelectorAll('.mark-symbol path, .mark-rect path')];
              // The last group of marks is the one made for the pointer.
              const group = marks[marks.length - 1].parentElement.querySelectorAll('path');
              const b = group[Math.floor(group.length / 2)].getBoundingClientRect();
              return [b.x + b.width / 2, b.y + b.height / 2];
            }})()"""
        )
        page.hover(5, 5)
        page.hover(x, y)
        text = page.wait("!document.getElementById('tip').hidden && document.getElementById('tip').textContent")
        assert words in text, (kind, text)
        assert any(c.isdigit() for c in text), (kind, text)
    page.hover(5, 5)


@pytest.mark.parametrize("name", ["reject", "hostile", "wide"])
def test_phone_needs_no_sideways_scrolling(opened, name):
    page = opened(name, width=390, height=844)
    assert page.console == []
    assert all(marks > 0 for _, marks, _ in page.run(DRAWN))
    assert page.run("document.documentElement.scrollWidth") == 390
    cut = page.run(
        """[...document.querySelectorAll('main p, main h1, main h2, main h3, main dd, main li, figure')]
           .filter(e => e.getClientRects().length && !e.closest('.scroll'))
           .filter(e => e.getBoundingClientRect().right > 391).map(e => e.textContent.slice(0, 40))"""
    )
    assert cut == []


def test_charts_follow_the_window(opened):
    page = opened("approve", width=1280, height=800)
    page.resize(700, 800)
    page.wait(f"({DRAWN}).every(([, , w]) => w > 0.9 && w <= 1.01)")


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("name", ["reject", "reference_free"])
def test_text_can_be_read_in_light_and_dark(opened, name, dark):
    page = opened(name, dark=dark)
    assert page.run(CONTRAST) == []


def test_theme_button_changes_charts_too(opened):
    page = opened("approve")
    color = "getComputedStyle(document.querySelector('.k-overlay .mark-line path')).stroke"
    background = "getComputedStyle(document.body).backgroundColor"
    before = page.run(f"[{color}, {background}]")
    page.run("document.getElementById('theme').click()")
    after = page.run(f"[{color}, {background}]")
    assert before[0] != after[0]
    assert before[1] != after[1]
    assert page.run("document.getElementById('theme').textContent") == "Light theme"


def test_keyboard_reaches_everything_in_order(opened):
    page = opened("reject")
    wanted = page.run("document.querySelectorAll('summary, nav a, #theme, .skip').length")
    page.press("Tab", 9)
    assert page.run("document.activeElement.className") == "skip"
    assert page.run("document.activeElement.getBoundingClientRect().left") >= 0
    page.run(
        """window.met = new Set([document.activeElement]);
           document.addEventListener('focusin', e => met.add(e.target))"""
    )
    for _ in range(220):
        page.press("Tab", 9)
        if page.run("document.activeElement === document.body"):
            break
    met = page.run("[...met].filter(e => e.matches('summary, nav a, #theme, .skip')).length")
    assert met == wanted
    page.run("document.querySelector('figure summary').focus()")
    page.press("Enter", 13)
    assert page.wait("document.querySelector('figure details').open")
    assert page.run("document.querySelector('figure details table').getClientRects().length") == 1


def test_layout_does_not_move_while_charts_appear(opened):
    page = opened("reject")
    moved = page.run(
        """new Promise(done => { let sum = 0;
          new PerformanceObserver(list => { for (const e of list.getEntries()) sum += e.value; })
            .observe({type: 'layout-shift', buffered: true});
          setTimeout(() => done(sum), 100); })"""
    )
    assert moved < 0.01
