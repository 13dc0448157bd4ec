"""The page of the server, in a browser."""

import csv
import json
import shutil
import threading
import time

import pytest

sync_api = pytest.importorskip("playwright.sync_api")
expect = sync_api.expect
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM, reason="there is no chromium"),
]
TEXT = "It's not a bad film at all, but the ending is a mess."


@pytest.fixture(scope="module")
def address(served_folder):
    """A server with the model `films`."""
    import uvicorn

    from sst_keras.serving.registry import find_models
    from sst_keras.serving.server import Limits, create_app

    app = create_app(find_models([str(served_folder)]), Limits(occluded=40))
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.05)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}/"
    server.should_exit = True
    thread.join()


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(params=[("light", 1400), ("dark", 390)], ids=["wide", "phone"])
def page(browser, address, request):
    """The opened page, which must not complain, nor ask anyone else."""
    scheme, width = request.param
    context = browser.new_context(
        color_scheme=scheme, viewport={"width": width, "height": 800}, accept_downloads=True
    )
    page, wrong = context.new_page(), []
    page.set_default_timeout(8_000)
    page.on("console", lambda message: wrong.append(message.text))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    own = address, "blob:"
    page.on("request", lambda asked: asked.url.startswith(own) or wrong.append(asked.url))
    with page.expect_response("**/api/models"):
        page.goto(address)
    page.refused = 0  # requests that the server refuses, which the browser mentions
    yield page
    assert [message for message in wrong if "Failed to load resource" not in message] == []
    assert len(wrong) == page.refused
    # Nothing is wider than the screen.
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    context.close()


def check_accessibility(page):
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page).response["violations"]
    assert not found, [(each["id"], each["nodes"][0]["html"]) for each in found]


def typed(page, text):
    first = json.dumps(text.split("\n")[0].strip())
    with page.expect_response(lambda found: first in (found.request.post_data or "")) as response:
        page.fill("#text", text)
    page.wait_for_selector("#result:not([hidden])")
    return response.value.json()["explanations"]


def values(page):
    return [
        float(each.get_attribute("data-value")) for each in page.query_selector_all("#tokens span")
    ]


def test_typing_gives_bars_and_shaded_words(page):
    (found,) = typed(page, TEXT)
    share = found["probabilities"][found["class_name"]]
    expect(page.locator("#answer")).to_have_text(f"{found['class_name']} ({100 * share:.0f}%)")
    bars = page.query_selector_all("#bars .bar")
    shares = [each.evaluate("bar => parseFloat(bar.style.width)") for each in bars]
    assert sum(shares) == pytest.approx(100, abs=0.1)
    assert sum(values(page)) == pytest.approx(1, abs=1e-3)
    assert page.inner_text("#tokens").split() == found["tokens"]
    check_accessibility(page)
    with page.expect_response("**/api/explain") as response:
        page.check("#effect")
    (found,) = response.value.json()["explanations"]
    page.wait_for_selector("#tokens .for, #tokens .against")
    assert values(page) == found["effects"]
    page.click("#numbers summary")
    assert len(page.query_selector_all("#numbers tbody tr")) == len(found["tokens"])
    check_accessibility(page)


def test_a_text_too_long_for_effects_is_still_answered(page):
    typed(page, "good")
    page.check("#effect")
    typed(page, "good " * 60)
    assert "at most 40 words" in page.inner_text("#meaning")
    assert page.is_hidden("#problem")


def test_several_reviews_and_earlier_texts(page):
    typed(page, TEXT)
    page.wait_for_selector("#history button")
    page.check("#many")
    found = typed(page, "Not bad.\n\n  A dull film \nA joy")
    assert [each["tokens"][0] for each in found] == ["Not", "A", "A"]
    expect(page.locator("#reviews article")).to_have_count(3)
    assert page.inner_text("#answer") == "3 reviews"
    assert sum(map(int, page.locator("#bars .number").all_inner_texts())) == 3
    expect(page.locator("#history button")).to_have_count(2)
    assert page.inner_text("#said") == "3 reviews"
    check_accessibility(page)
    page.locator("#history button").nth(1).click()
    assert page.input_value("#text") == TEXT and page.is_checked("#one")
    page.fill("#text", "")
    page.wait_for_selector("#result", state="hidden")


def test_a_dropped_file_comes_back_with_as_many_rows(page):
    content = "id,text\n" + "".join(f"{number},A joy {number}\n" for number in range(30)) + "30,\n"
    with page.expect_response("**/api/batch*"):
        page.evaluate(
            """content => {
              const transfer = new DataTransfer();
              transfer.items.add(new File([content], "My reviews.csv", {type: "text/csv"}));
              for (const name of ["dragover", "drop"]) {
                document.body.dispatchEvent(new DragEvent(name,
                  {dataTransfer: transfer, bubbles: true, cancelable: true}));
              }
            }""",
            content,
        )
    page.wait_for_selector("#download:not([hidden])")
    assert page.inner_text("#file-state").startswith("31 rows. 1 of them has no prediction")
    check_accessibility(page)
    with page.expect_download() as download:
        page.click("#download")
    assert download.value.suggested_filename == "My reviews-classified.csv"
    with open(download.value.path(), encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["id"] for row in rows] == [str(number) for number in range(31)]
    assert all(row["predicted_class"] for row in rows[:30])


def test_a_file_can_be_chosen_by_keyboard_and_its_column_named(page):
    with page.expect_file_chooser() as chooser:
        page.locator("#choose").press("Enter")
    content = b"id,stars\n1,2\n"
    chooser.value.set_files({"name": "a.csv", "mimeType": "text/csv", "buffer": content})
    page.wait_for_selector("#column")
    page.refused = 1
    assert page.inner_text("#file-state").startswith("a.csv: expected column 'text'")
    page.fill("#column", "id")
    page.click("#again")
    page.wait_for_selector("#download:not([hidden])")
    assert page.inner_text("#file-state") == "1 row."


def test_a_server_that_is_gone_is_a_sentence(page):
    page.route("**/api/explain", lambda route: route.abort())
    page.fill("#text", TEXT)
    page.wait_for_selector("#problem:not([hidden])")
    assert page.is_hidden("#result")
    page.refused = 1
    assert page.inner_text("#problem") == "The server does not answer."
    page.unroute("**/api/explain")
    typed(page, "A joy")
    assert page.is_hidden("#problem")


def test_other_kinds_of_files_are_refused_with_a_sentence(page):
    wrong = {"name": "a.xlsx", "mimeType": "", "buffer": b"PK"}
    page.set_input_files("#file", files=[wrong])
    expect(page.locator("#file-state")).to_contain_text("Save a table as CSV")
    assert page.is_hidden("#column-row") and page.is_hidden("#download")
    # Of two files, one after the other, the page shows the second.
    files = [("a.csv", b"text\na\n"), ("b.csv", b"text\n" + b"b\n" * 3)]
    for name, content in files:
        page.set_input_files("#file", files=[{"name": name, "mimeType": "", "buffer": content}])
        page.wait_for_selector("#download:not([hidden])")
    assert page.inner_text("#file-name") == "b.csv" and page.inner_text("#file-state") == "3 rows."


def test_the_same_text_again_removes_no_earlier_one(page):
    for text in ("First text.", "Second text."):
        typed(page, text)
        page.locator("#text").press("Control+Enter")
        expect(page.locator("#history button").first).to_contain_text(text)
    page.locator("#text").press("Control+Enter")
    page.wait_for_timeout(400)
    assert page.locator("#history button").count() == 2


def history(page, count):
    expect(page.locator("#history button")).to_have_count(count)
    return page.locator("#history button span:first-child").all_inner_texts()


def test_only_typing_that_goes_on_replaces_an_earlier_text(page):
    def settled(text):
        typed(page, text)
        page.locator("#text").press("Control+Enter")
        expect(page.locator("#history button").first).to_contain_text(text)

    settled("I loved it")
    settled("I loved it a lot")
    assert history(page, 1) == ["I loved it a lot"]
    settled("I")  # after everything was selected
    assert history(page, 2) == ["I", "I loved it a lot"]
    settled("Good")
    settled("Bad")
    page.locator("#history button").nth(1).click()
    expect(page.locator("#history button").first).to_contain_text("Good")
    assert history(page, 4) == ["Good", "Bad", "I", "I loved it a lot"]
    settled("Good film")  # which goes on after a click
    assert history(page, 5)[:2] == ["Good film", "Good"]
    page.locator("#history button").nth(1).click()
    expect(page.locator("#history button").first).not_to_contain_text("film")
    assert history(page, 5)[:2] == ["Good", "Good film"]


def test_versions_of_a_model_may_have_different_classes(page):
    classes = {2: ["no", "yes"], 1: ["-1", "0", "1"]}
    models = [
        {"model": "m", "version": version, "class_names": names, "has_attention": True}
        for version, names in classes.items()
    ]
    limits = {"texts": 5, "characters": 100, "occluded": 9, "file": 99}
    page.route(
        "**/api/models", lambda route: route.fulfill(json={"models": models, "limits": limits})
    )

    def explain(route):
        names = classes[route.request.post_data_json["version"]]
        found = {"class_name": names[0], "probabilities": dict.fromkeys(names, 1 / len(names))}
        found |= {"tokens": ["a"], "attention": [1.0]}
        route.fulfill(json={"explanations": [found]})

    page.route("**/api/explain", explain)
    page.reload()
    typed(page, "a")
    for version, names in classes.items():
        page.select_option("#model", label=f"m, version {version}")
        expect(page.locator("#bars li")).to_have_count(len(names))
        assert page.locator("#bars li span:first-child").all_inner_texts() == names


def test_a_second_file_takes_the_place_of_the_first(page):
    long = b"text\n" + b"A long and dull film, again and again.\n" * 200_000
    with page.expect_request("**/api/batch*"):
        page.set_input_files("#file", files=[{"name": "a.csv", "mimeType": "", "buffer": long}])
    page.wait_for_timeout(1500)  # it has arrived, and is being classified
    assert page.inner_text("#file-state") == "Classifying …"
    short = {"name": "b.csv", "mimeType": "", "buffer": b"text\nb\n"}
    page.set_input_files("#file", files=[short])
    expect(page.locator("#file-state")).to_have_text("1 row.", timeout=20_000)
