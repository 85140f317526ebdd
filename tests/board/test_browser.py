"""The pages in a browser: curves are drawn, all controls work, and nothing is logged."""

import json
import threading

import pytest

from singa import board

# The pixels of a chart's canvas. Of a copy: the browser has a word to say about reading others.
PIXELS = """
const canvas = arguments[0].querySelector("canvas"), { width, height } = canvas;
const copy = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
copy.drawImage(canvas, 0, 0);
const pixels = copy.getImageData(0, 0, width, height).data;
let count = 0;
"""

# How many of them are neither grey nor faint, as curves are.
INK = f"""{PIXELS}
for (let i = 0; i < pixels.length; i += 4) {{
  const [r, g, b, a] = pixels.slice(i, i + 4);
  count += a > 100 && Math.max(r, g, b) - Math.min(r, g, b) > 60;
}}
return count;
"""

# How many of them have one colour.
OF_COLOUR = f"""{PIXELS}
for (let i = 0; i < pixels.length; i += 4)
  count += arguments[1].every((v, j) => pixels[i + j] === v) && pixels[i + 3] === 255;
return count;
"""


@pytest.fixture
def wait(browser):
    from selenium.webdriver.support.wait import WebDriverWait

    return WebDriverWait(browser, 20, poll_frequency=0.1).until


@pytest.fixture
def find(browser):
    """The elements that a CSS selector finds."""
    return lambda selector, within=browser: within.find_elements("css selector", selector)


@pytest.fixture
def texts(browser):
    """The visible texts that a CSS selector finds, of one moment."""
    script = """
    const found = [...document.querySelectorAll(arguments[0])];
    return found.filter((e) => e.checkVisibility()).map((e) => e.innerText.replace(/\\s+/g, " "));
    """
    return lambda selector: browser.execute_script(script, selector)


@pytest.fixture
def served(write_run, tmp_path):
    """The address of a board with a run in progress, and the folder of its runs."""
    write_run(tmp_path / "runs/done")
    write_run(tmp_path / "runs/going", epochs=2, status="running")
    with board.Server(tmp_path / "runs") as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield server.url, tmp_path / "runs"
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def _nothing_is_logged(browser):
    browser.get_log("browser")
    yield
    assert browser.get_log("browser") == []


def chart(find, title):
    found = [card for card in find(".chart") if find("strong", card)[0].text == title]
    assert len(found) == 1, title
    return found[0]


def test_a_report_shows_its_curves(browser, find, texts, run_folder, tmp_path):
    board.write_report(run_folder, tmp_path / "report.html")
    browser.get((tmp_path / "report.html").as_uri())

    assert texts(".chart strong") == [
        "loss", "accuracy", "speed",
        "loss of each batch", "accuracy of each batch", "learning rate",
    ]  # fmt: skip
    for card in find(".chart"):
        assert browser.execute_script(INK, card) > 300
    loss = chart(find, "loss")
    assert [b.text for b in find(".legend b", loss)] == ["0.08", "0.5"]  # of the last epoch
    assert browser.title == "first"


@pytest.fixture
def telephone(browser):
    """A window 390 pixels wide."""
    size = {"width": 390, "height": 900, "deviceScaleFactor": 1, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    yield
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


@pytest.mark.usefixtures("telephone")
def test_a_narrow_window_has_room_for_all_and_for_large_numbers(
    browser, find, texts, write_run, write_csv, tmp_path
):
    folder = write_run(tmp_path / "runs/large", parameters=123_456_789_012)
    heads = ["epoch", "step", "seconds", "samples_per_second", "loss", "val_loss"]
    rows = [(i, 4 * i, 2.5, 1.5e8 * i, 1.25e14 / i, 2e22 * i) for i in range(1, 4)]
    write_csv(folder / "epochs.csv", heads, rows)
    profile = json.loads((folder / "profile.json").read_text())
    profile["rows"][0] |= {"layer": "encoder.blocks.11.attention.query", "seconds": 1000.0}
    (folder / "profile.json").write_text(json.dumps(profile))
    board.write_report(folder, tmp_path / "report.html")
    browser.get((tmp_path / "report.html").as_uri())

    assert browser.execute_script("return document.documentElement.scrollWidth") == 390
    wide = """
    const found = [...document.querySelectorAll(arguments[0])];
    return found.map((e) => e.scrollWidth - e.clientWidth);
    """
    assert browser.execute_script(wide, "#time .scroll") == [0]
    assert set(browser.execute_script(wide, ".tiles dd")) == {0}
    assert "123.5 billion float32" in texts(".tiles dd")
    assert [b.text for b in find(".legend b", chart(find, "loss"))] == ["4.167e13", "6e22"]
    drawing = find(".drawing svg")[0].rect
    assert drawing["height"] == pytest.approx(drawing["width"] / 2, abs=2)  # no empty room
    labels = "return [...charts].flatMap((c) => c.uplot.axes[1]._values).filter((v) => v !== null)"
    assert max(map(len, browser.execute_script(labels))) <= 7


def test_curves_can_be_hidden_and_scaled_and_smoothed(browser, find, run_folder, tmp_path):
    board.write_report(run_folder, tmp_path / "report.html")
    browser.get((tmp_path / "report.html").as_uri())
    loss, steps = chart(find, "loss"), chart(find, "loss of each batch")
    before = browser.execute_script(INK, loss)

    find("[data-label=validation]", loss)[0].click()
    assert find("[data-label=validation]", loss)[0].get_attribute("aria-pressed") == "false"
    browser.execute_script("return new Promise(requestAnimationFrame)")
    assert browser.execute_script(INK, loss) < before

    log = next(button for button in find("button", loss) if button.text == "log")
    image = "return arguments[0].querySelector('canvas').toDataURL()"
    pictures = {browser.execute_script(image, loss)}
    log.click()
    browser.execute_script("return new Promise(requestAnimationFrame)")
    assert browser.execute_script(image, loss) not in pictures
    # What is hidden stays so.
    assert find("[data-label=validation]", loss)[0].get_attribute("aria-pressed") == "false"

    smooth = find("[data-label=smoothed] b", steps)[0]
    at_80 = float(smooth.text)
    browser.execute_script(
        "const s = document.getElementById('smoothing');"
        "s.value = 0; s.dispatchEvent(new Event('input'))"
    )
    assert float(smooth.text) == float(find("[data-label=batch] b", steps)[0].text) != at_80


def test_a_chart_is_read_and_zoomed_with_mouse_and_keys(browser, find, run_folder, tmp_path):
    from selenium.webdriver import ActionChains, Keys

    board.write_report(run_folder, tmp_path / "report.html")
    browser.get((tmp_path / "report.html").as_uri())
    card, other = chart(find, "loss of each batch"), chart(find, "learning rate")
    plot = find(".u-over", card)[0]
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", plot)

    ActionChains(browser).move_to_element(plot).perform()
    under = find(".place", card)[0].text
    assert under.startswith("step 1")  # of 20
    assert find(".place", other)[0].text == under  # one cursor for all
    find(".plot", card)[0].send_keys(Keys.HOME)
    assert find(".place", card)[0].text == "step 1"
    assert find("[data-label=batch] b", card)[0].text == "3"

    (unzoom,) = (b for b in find("button", card) if b.get_property("textContent") == "reset zoom")
    assert not unzoom.is_displayed()
    ActionChains(browser).move_to_element(plot).click_and_hold().move_by_offset(
        60, 0
    ).release().perform()
    limits = (
        "return [...charts].filter(c => c.spec.group === 'steps').map(c => c.uplot.scales.x.min)"
    )
    assert all(low > 5 for low in browser.execute_script(limits))
    assert unzoom.is_displayed()
    next(button for button in find("button", card) if button.text == "log").click()
    assert all(low > 5 for low in browser.execute_script(limits))  # another scale, the same zoom
    unzoom.click()
    assert browser.execute_script(limits) == [1, 1, 1]


def test_the_graph_is_zoomed_and_moved(browser, find, run_folder, tmp_path):
    from selenium.webdriver import ActionChains, Keys

    board.write_report(run_folder, tmp_path / "report.html")
    browser.get((tmp_path / "report.html").as_uri())
    drawing = find(".drawing")[0]
    svg = find("svg", drawing)[0]
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", svg)

    def view():
        return [float(v) for v in svg.get_dom_attribute("viewBox").split()]

    assert view() == [0, 0, 400, 200]
    find("[data-zoom=in]", drawing)[0].click()
    assert view() == pytest.approx([60, 30, 280, 140])
    ActionChains(browser).drag_and_drop_by_offset(svg, 50, 0).perform()
    assert view()[0] < 60
    assert view()[1] == pytest.approx(30, abs=0.1)
    find("[data-zoom=fit]", drawing)[0].click()
    assert view() == [0, 0, 400, 200]
    drawing.send_keys("+", "-", Keys.ARROW_RIGHT)
    assert view()[0] > 0
    assert view()[2] == pytest.approx(400, abs=0.1)


def test_samples_follow_their_slider_and_times_are_sorted(
    browser, find, texts, run_folder, tmp_path
):
    from selenium.webdriver import Keys

    board.write_report(run_folder, tmp_path / "report.html")
    browser.get((tmp_path / "report.html").as_uri())

    def shown():
        return [i.get_attribute("alt") for i in find(".sample img") if i.is_displayed()]

    assert shown() == ["digits after epoch 5"]
    find(".sample input")[0].send_keys(Keys.HOME)
    assert shown() == ["digits after epoch 1"]
    assert find(".sample output")[0].text == "1"

    head = find("#time th")[4]
    find("button", head)[0].click()
    assert texts("#time td:nth-child(5)") == ["5.000", "3.000", "2.000", "0.000"]
    assert head.get_attribute("aria-sort") == "descending"
    find("button", head)[0].click()
    assert texts("#time td:nth-child(5)") == ["0.000", "2.000", "3.000", "5.000"]


def test_a_name_that_is_a_script_is_not_run(browser, find, write_run, tmp_path):
    evil = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"
    folder = write_run(tmp_path / "evil", name=evil, summary=evil, model=evil)
    (folder / "graph.svg").write_text(
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9" onload="alert(3)">'
        '<script>alert(4)</script><rect width="9" height="9" onclick="alert(5)"/></svg>'
    )
    board.write_report(folder, tmp_path / "report.html")

    browser.get((tmp_path / "report.html").as_uri())  # an alert would fail what follows
    assert find("h1")[0].text.startswith(evil)
    assert browser.title == evil
    assert find(".drawing rect")
    assert not find("img[onerror]")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_charts_have_the_colours_of_the_scheme(browser, find, run_folder, tmp_path, scheme):
    board.write_report(run_folder, tmp_path / "report.html")
    browser.get((tmp_path / "report.html").as_uri())
    feature = {"name": "prefers-color-scheme", "value": scheme}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})

    train = {"light": [0x3B, 0x78, 0xC4], "dark": [0x6A, 0xA5, 0xEE]}[scheme]
    assert browser.execute_script(OF_COLOUR, chart(find, "loss"), train) > 50
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_runs_are_chosen_filtered_and_followed(browser, find, texts, wait, served, write_run):
    url, runs = served
    browser.get(url)

    def compared():
        return [s.text for s in find(".legend span", chart(find, "validation loss"))]

    assert texts("#runs a") == ["done", "going"]
    assert compared() == ["done", "going"]
    assert browser.execute_script(INK, chart(find, "validation loss")) > 100
    browser.execute_script("document.querySelector('[data-key=going]').click()")
    assert compared() == ["done"]
    find("#filter")[0].send_keys("done")
    assert texts("#runs a") == ["done"]

    # News: the run in progress comes to its end, and another one begins.
    write_run(runs / "going", epochs=3)
    write_run(runs / "new", name="done, a third")
    wait(lambda _: "done, a third" in texts("#runs a"))
    assert texts("#runs a") == ["done", "done, a third"]
    assert compared() == ["done", "new"]  # "going" is left out as before
    find("#filter")[0].clear()
    find("#filter")[0].send_keys(" ")
    assert texts("#runs .status") == ["completed", "completed", "completed"]
    assert (
        browser.execute_script("return document.querySelector('[data-key=going]').checked") is False
    )


def test_a_run_in_progress_is_followed(browser, find, texts, wait, served, write_run):
    url, runs = served
    browser.get(f"{url}run/going.html")

    assert texts("h1") == ["going running"]
    card = chart(find, "loss of each batch")
    points = "return [...charts].find(c => c.spec.title === 'loss of each batch').spec.x.length"
    assert browser.execute_script(points) == 8
    browser.execute_script("window.same = true")
    (button,) = find("[data-label=batch]", card)
    button.click()

    write_run(runs / "going", epochs=4, status="running")
    wait(lambda _: browser.execute_script(points) == 16)
    write_run(runs / "going", epochs=6, status="completed")
    wait(lambda _: browser.execute_script(points) == 24)
    assert texts("h1") == ["going completed"]
    assert texts(".sample output") == ["6"]
    assert browser.execute_script("return window.same")  # the page was not loaded anew
    assert button.get_attribute("aria-pressed") == "false"
    assert browser.execute_script(INK, card) > 100

    find(".home")[0].click()
    wait(lambda _: find("#runs"))


def test_pages_that_need_no_server_lead_to_each_other(
    browser, find, texts, wait, write_run, tmp_path
):
    write_run(tmp_path / "runs/a & b/#1?")
    write_run(tmp_path / "runs/second")
    browser.get(board.write_board(tmp_path / "runs", tmp_path / "pages").as_uri())

    assert texts("#runs a") == ["#1?", "second"]
    find("#runs a")[0].click()
    wait(lambda _: find(".home"))
    assert texts("h1") == ["#1? completed"]
    find(".home")[0].click()
    wait(lambda _: find("#runs"))
