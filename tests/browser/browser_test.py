"""The report of `saccade inspect` in chromium: opened, clicked, zoomed, exported and looked at."""

import base64
import json
import os
import subprocess
import sys
import tempfile
import time
import unittest

import picture
from browser import Browser

SACCADE, SCRIPTS, SHOTS = os.environ["SACCADE"], os.environ["SACCADE_SCRIPTS"], os.environ["SACCADE_SHOTS"]
HERE = os.path.dirname(os.path.abspath(__file__))
NEEDLE = "The secret number of the old lighthouse is 4711."


def found(script, name):
    return subprocess.run([f"{SCRIPTS}/{script}", name], check=True, stdout=subprocess.PIPE).stdout.decode().strip()


class Page(unittest.TestCase):
    def shot(self, browser, name, whole=False):
        os.makedirs(SHOTS, exist_ok=True)
        path = os.path.join(SHOTS, f"{name}.png")
        browser.screenshot(path, whole)
        return path

    def clean(self, browser, path):
        self.assertEqual(browser.problems, [])
        strangers = [url for url in browser.requests if not url.startswith(("file://" + path, "blob:", "data:", "about:"))]
        self.assertEqual(strangers, [], "the page asks nobody for anything")


class Real(Page):
    """A report made from the 0.5B model: about 1,600 tokens of a novel with a planted sentence, and a question about it."""

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="saccade-inspect-")
        cls.path = os.path.join(cls.folder.name, "report.html")
        text = os.path.join(cls.folder.name, "text.txt")
        with open(found("text", "novel"), encoding="utf-8") as file:
            novel = file.read()[20_000:27_000]
        middle = novel.index("\n\n", 4200)
        with open(text, "w", encoding="utf-8") as file:
            file.write(f"{novel[:middle]}\n\n{NEEDLE}\n{novel[middle:]}")
        done = subprocess.run([SACCADE, "inspect", "-m", found("model", "qwen2.5-coder-0.5b"), "-f", text, "-p", "What is the secret number of the old lighthouse?",
                               "-n", "24", "--tokens", "100,200-203", "-o", cls.path, "--json"], capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()
        cls.report = json.loads(done.stdout)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def setUp(self):
        self.browser = Browser(downloads=self.folder.name)
        self.addCleanup(self.browser.close)

    def number(self, script):
        return float(self.browser.run(script))

    def text(self, element):
        return self.browser.run(f"document.getElementById('{element}').textContent")

    def test_it_shows_where_the_answer_comes_from(self):
        browser, report = self.browser, self.report
        self.assertIn("4711", report["text"]["answer"])
        browser.open(self.path)
        self.assertEqual(self.text("answer"), report["text"]["answer"])
        self.assertIn("qwen2.5-coder-0.5b", self.text("facts"))
        first = self.browser.run("document.querySelector('#spans li').textContent")
        self.assertIn("lighthouse is 4711", first, "the planted sentence is the most looked-at part of the text")
        self.assertEqual(browser.run("document.querySelectorAll('#overview rect[data-layer]').length"), 24 * 14)
        self.assertEqual(browser.run("document.querySelectorAll('#pages .page span.span').length") > 5, True)
        light = picture.statistics(self.shot(browser, "light"))
        self.assertGreater(light["colours"], 300)
        self.assertGreater(light["light"], 0.75)
        self.clean(browser, self.path)

    def test_dark(self):
        self.browser.open(self.path, dark=True)
        dark = picture.statistics(self.shot(self.browser, "dark"))
        self.assertGreater(dark["colours"], 300)
        self.assertLess(dark["light"], 0.25)
        self.browser.click_on("#theme")
        self.assertEqual(self.browser.run("document.documentElement.dataset.theme"), "light")
        self.clean(self.browser, self.path)

    def test_a_token_of_the_answer_and_of_the_text(self):
        browser = self.browser
        browser.open(self.path)
        last = len([row for row in self.report["rows"] if row["kind"] == "answer"]) - 3
        browser.click_on(f"#answer span:nth-child({last})")
        self.assertIn("looked as it was chosen", self.text("says"))
        self.shot(browser, "answer-token")
        browser.run("document.querySelector('#pages .page span[data-at]').scrollIntoView({ block: 'center' })")
        browser.settle()
        at = browser.run("(() => { const box = document.querySelector('#pages').getBoundingClientRect(), y = box.top + box.height / 2;"
                         " return [...document.querySelectorAll('#pages span[data-at]')].find((one) => one.getBoundingClientRect().top > y).dataset.at; })()")
        browser.click_on(f"#pages span[data-at='{at}']")
        self.assertIn("looked", self.text("says"))
        self.assertEqual(browser.run("document.querySelector('#pages span.here').dataset.at"), at)
        self.assertIn("layer by layer", self.text("top-note"))
        # Another token with shift: the span between them, by which heads are coloured.
        browser.click_on(f"#pages span[data-at='{int(at) + 3}']", shift=True)
        self.assertEqual(browser.run("document.getElementById('metric').value"), "answer_on_span")
        self.assertEqual(browser.run("document.querySelectorAll('#pages span.span').length"), 4)
        self.clean(browser, self.path)

    def test_heads(self):
        browser = self.browser
        browser.open(self.path)
        browser.click_on("#overview rect[data-layer='3'][data-head='5']")
        browser.until("document.getElementById('map-title').textContent === 'Layer 3, head 5'")
        browser.until("document.getElementById('head-facts').textContent.includes('Layer 3, head 5')")
        browser.run("document.getElementById('overview').focus()")
        browser.press("ArrowDown")
        browser.until("document.getElementById('map-title').textContent === 'Layer 4, head 5'")
        for metric in self.report["heads"]["metrics"]:
            browser.run(f"set({{ metric: '{metric['key']}' }})")
            browser.settle()
            title = browser.run("document.querySelector('#overview rect[data-layer=\"4\"][data-head=\"5\"] title').textContent")
            self.assertTrue(title.startswith("layer 4, head 5: "), title)
        for scope in ("layer", "all"):
            browser.click_on(f"#scope [data-value={scope}]")
        for colour in ("received", "entropy", "token", "answer"):
            browser.click_on(f"#colour [data-value={colour}]")
            browser.until(f"document.querySelector('#colour [data-value={colour}]').getAttribute('aria-checked') === 'true'")
        self.clean(browser, self.path)

    def test_map(self):
        browser = self.browser
        browser.open(self.path)
        x, y = browser.centre("#map")
        before, small = self.number("view.scale"), os.path.join(self.folder.name, "map.png")
        self.clip(browser, small, "#map")
        home = picture.statistics(small)
        self.assertGreater(home["colours"], 100)
        browser.mouse("mouseMoved", x, y)
        browser.settle()
        self.assertIn("equal share", self.text("map-facts"))
        for _ in range(6):
            browser.wheel(x, y, -240)
        self.assertGreater(self.number("view.scale"), 20 * before)
        self.shot(browser, "zoomed")
        self.assertEqual(self.number("levelInView(current).size"), 1024)
        browser.run("document.getElementById('map').focus()")
        at = self.number("view.x")
        browser.press("ArrowRight")
        self.assertNotEqual(self.number("view.x"), at)
        browser.press("0")
        self.assertAlmostEqual(self.number("view.scale"), before, places=9)
        browser.click(x - 60, y + 60)
        self.assertEqual(browser.run("state.colour"), "token")
        self.clean(browser, self.path)

    def test_the_map_is_a_pyramid(self):
        """A coarser level's masses are those of the finest: every row of blocks has the attention of its queries, all of it."""
        browser = self.browser
        browser.open(self.path)
        browser.until("current && shownLevel")
        sizes = browser.run("levels(current).map(({ size }) => size)")
        self.assertEqual(sizes, [1024, 512, 256, 128, 64])
        sums = browser.run("levels(current).map((level) => Array.from({ length: 64 }, (_, i) => {"
                           " let sum = 0; for (let column = 0; column < level.size; ++column) sum += massAt(level, level.size - 1 - i, column); return sum; }))")
        for level in sums:
            for total in level:  # 8 bits on a log scale round a mass by up to 9 %
                self.assertAlmostEqual(total, 1, delta=0.09)
        self.assertLess(self.number("levelInView(current).size"), 1024)
        self.assertIn(" of 1024 × 1024 blocks", self.text("map-legend"))
        # Close up, a query that was listed shows what each token got: the row that is kept.
        at = browser.run("(() => { Object.assign(view, { scale: 14, x: 190, y: 195 }); pan(0, 0); const box = document.getElementById('map').getBoundingClientRect();"
                         " return [box.left + kMargin.left + (198.5 - view.x) * view.scale, box.top + kMargin.top + (200.5 - view.y) * view.scale]; })()")
        browser.mouse("mouseMoved", *at)
        browser.settle()
        self.assertIn("of this very token's attention", self.text("map-facts"))
        kept = browser.run("(async () => (await numbers(report.looked.heads[isChosen(state.layer, state.head)], rowAt(200)))[198])()")
        self.assertEqual(browser.run("keptWeight(view.pointer)"), kept)
        self.shot(browser, "tokens")
        self.clean(browser, self.path)

    def clip(self, browser, path, selector):
        box = browser.run(f"(() => {{ const b = document.querySelector('{selector}').getBoundingClientRect(); return {{ x: b.x, y: b.y, width: b.width, height: b.height, scale: 1 }}; }})()")
        with open(path, "wb") as out:
            out.write(base64.b64decode(browser.call("Page.captureScreenshot", format="png", clip=box)["data"]))

    def test_exports(self):
        browser = self.browser
        browser.open(self.path)
        for kind in ("png", "svg", "json"):
            browser.click_on("#export")
            browser.click_on(f"#export-menu [data-export={kind}]")
        layer, head = int(self.number("state.layer")), int(self.number("state.head"))
        names = [f"layer-{layer}-head-{head}.png", "heads-answer_on_span.svg", "inspect.json"]
        end = time.monotonic() + 20
        paths = [os.path.join(self.folder.name, name) for name in names]
        while not all(os.path.exists(path) and os.path.getsize(path) > 0 for path in paths) and time.monotonic() < end:
            time.sleep(0.1)
        time.sleep(0.5)
        self.assertGreater(picture.statistics(paths[0])["colours"], 100)
        with open(paths[1], encoding="utf-8") as file:
            self.assertEqual(file.read().count("data-layer"), 24 * 14)
        with open(paths[2], encoding="utf-8") as file:
            self.assertEqual(json.load(file), self.report, "the page, its export and --json hold the same")
        self.clean(browser, self.path)

    def test_below_the_fold(self):
        browser = self.browser
        browser.open(self.path)
        browser.run("document.getElementById('atlas').scrollIntoView()")
        browser.until("document.getElementById('atlas').height > 300")
        time.sleep(1)
        browser.run("scrollTo(0, 0)")
        whole = picture.statistics(self.shot(browser, "whole", whole=True))
        self.assertGreater(whole["colours"], 1000)
        for text in ("skipped", "dense"):
            self.assertIn(text, self.text("run"))
        self.assertGreater(browser.run("document.querySelectorAll('#top tr').length"), 20)
        self.clean(browser, self.path)


class Proof(Page):
    """The report of a proof: the 0.5B model, five facts in 2,000 tokens."""

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="saccade-proof-")
        cls.path = os.path.join(cls.folder.name, "proof.html")
        done = subprocess.run([SACCADE, "inspect", "--prove", "retrieval", "-m", found("model", "qwen2.5-coder-0.5b"), "-f", found("text", "novel"), "-c", "2000",
                               "--needles", "5", "-o", cls.path, "--json"], capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()
        cls.proof = json.loads(done.stdout)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def test_it_shows_what_was_found_and_lost(self):
        for dark in (False, True):
            with Browser() as browser:
                browser.open(self.path, dark)
                for run in ("found", "found_top_masked", "found_random_masked"):
                    marks = browser.run(f"[...document.querySelectorAll('#proof-table [data-run={run}]')].map((one) => one.textContent)")
                    self.assertEqual(marks, ["✓" if one[run] else "✗" for one in self.proof["needles"]], run)
                    self.assertEqual(marks.count("✓"), self.proof[run])
                heads = browser.run("[...document.querySelectorAll('#proof-top [data-head]')].map((one) => one.dataset.head)")
                self.assertEqual(heads, [f"{one['layer']}.{one['head']}" for one in self.proof["top"]])
                self.assertEqual(browser.run("document.querySelectorAll('#overview .masked').length"), 20)
                shown = self.proof["needles"][self.proof["shown"]]
                self.assertEqual(browser.run("document.getElementById('question').textContent"), shown["question"])
                self.assertEqual(browser.run("document.getElementById('answer').textContent").strip(), shown["answer"].strip())
                light = picture.statistics(self.shot(browser, "proof-dark" if dark else "proof"))["light"]
                self.assertTrue(light < 0.25 if dark else light > 0.75, light)
                self.clean(browser, self.path)

    def test_by_keys_and_by_mouse(self):
        with Browser() as browser:
            browser.open(self.path)
            says = lambda: browser.run("document.getElementById('proof-says').textContent")
            # One stop of the tab key for the whole table; arrows walk in it.
            self.assertEqual(browser.run("document.querySelectorAll('#proof-table button[tabindex=\"0\"]').length"), 1)
            browser.run("document.querySelector('#proof-table button[tabindex=\"0\"]').focus()")
            for key in ("ArrowDown", "ArrowRight", "ArrowRight", "ArrowUp", "ArrowDown"):
                browser.press(key)
            at = browser.run("[document.activeElement.dataset.run, Number(document.activeElement.dataset.needle)]")
            self.assertEqual(at, ["found_top_masked", 2])
            needle = self.proof["needles"][2]
            self.assertIn(needle["question"], says())
            self.assertIn(needle["secret"], says())
            # A click shows the fact in the text and how much the answer looked at it.
            browser.click_on("#proof-table [data-run=found][data-needle='1']")
            one = self.proof["needles"][1]
            self.assertEqual(browser.run("state.span"), [one["begin"], one["end"]])
            browser.until("document.querySelectorAll('#pages span.span').length > 5")
            self.assertIn(one["secret"], browser.run("report.pieces.slice(...state.span).join('')"))
            top = self.proof["top"][0]
            browser.click_on("#proof-top button")
            browser.until(f"document.getElementById('map-title').textContent === 'Layer {top['layer']}, head {top['head']}'")
            self.clean(browser, self.path)


class Large(Page):
    """30,000 tokens, 24 layers of 14 heads, made up."""

    def test_it_opens_at_once(self):
        python = subprocess.run(["bash", "-c", '. "$0/lib.sh"; venv_python', SCRIPTS], check=True, stdout=subprocess.PIPE).stdout.decode().strip()
        with tempfile.TemporaryDirectory(prefix="saccade-inspect-") as folder:
            path = os.path.join(folder, "large.html")
            subprocess.run([python, os.path.join(HERE, "made_report.py"), "30000", path], check=True)
            size = os.path.getsize(path)
            with Browser() as browser:
                browser.open(path)
                seconds = min(self.opened(browser, path) for _ in range(3))
                print(f"{size / 1e6:.1f} MB, open in {seconds:.2f} s", file=sys.stderr)
                self.assertLess(size, 25e6)
                self.assertLess(seconds, 2)
                steps = browser.run("""(async () => {
                  const box = document.getElementById('pages'), times = [];
                  for (let i = 0; i < 60; ++i) {
                    const start = performance.now();
                    box.scrollTop += 400;
                    await new Promise(requestAnimationFrame);
                    times.push(performance.now() - start);
                  }
                  return times.sort((a, b) => a - b)[54];
                })()""")
                print(f"a step of scrolling: {steps:.0f} ms (90th percentile)", file=sys.stderr)
                self.assertLess(steps, 100)
                self.assertLess(browser.run("document.querySelectorAll('#pages span').length"), 6000, "only what is near is in the page")
                self.shot(browser, "large")
                self.clean(browser, path)

    def opened(self, browser, path):
        browser.open(path)
        return browser.run("performance.now()") / 1000


if __name__ == "__main__":
    unittest.main()
