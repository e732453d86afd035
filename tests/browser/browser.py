"""Chromium without a window, driven over its DevTools pipe; nothing beyond the standard library."""

import base64
import fcntl
import json
import os
import select
import shutil
import signal
import subprocess
import tempfile
import time


class Browser:
    """One page. Problems of the page (exceptions, console errors, anything it asks the network for) are kept."""

    def __init__(self, width=1440, height=900, downloads=None):
        self.profile = tempfile.mkdtemp(prefix="saccade-browser-")
        to_child, self._write = os.pipe()
        self._read, from_child = os.pipe()
        # Above 4, so that neither is overwritten before it is copied to where chromium looks for it.
        ends = [fcntl.fcntl(fd, fcntl.F_DUPFD, 20) for fd in (to_child, from_child)]
        os.close(to_child)
        os.close(from_child)
        flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe", "--hide-scrollbars", "--no-first-run",
                 "--disable-background-networking", "--disable-component-update", f"--user-data-dir={self.profile}", f"--window-size={width},{height}"]
        self.child = subprocess.Popen(["chromium", *flags, "about:blank"], pass_fds=(3, 4), start_new_session=True,
                                      preexec_fn=lambda: [os.dup2(fd, place) for fd, place in zip(ends, (3, 4), strict=True)],
                                      stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for fd in ends:
            os.close(fd)
        self._buffer, self._last, self.problems, self.requests = b"", 0, [], []
        target = next(one for one in self._call("Target.getTargets")["targetInfos"] if one["type"] == "page")
        self.session = self._call("Target.attachToTarget", targetId=target["targetId"], flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        if downloads:
            self._call("Browser.setDownloadBehavior", behavior="allow", downloadPath=os.path.abspath(downloads))

    def close(self):
        try:
            os.killpg(self.child.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.child.wait()
        os.close(self._read)
        os.close(self._write)
        shutil.rmtree(self.profile, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def call(self, method, **params):
        return self._call(method, self.session, **params)

    def _call(self, method, session=None, timeout=120, **params):
        self._last += 1
        message = {"id": self._last, "method": method, "params": params} | ({"sessionId": session} if session else {})
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self._write, data):]
        end = time.monotonic() + timeout
        while True:
            answer = self._receive(end - time.monotonic())
            if answer.get("id") == self._last:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]
            self._note(answer)

    def _receive(self, timeout):
        end = time.monotonic() + timeout
        while b"\0" not in self._buffer:
            if not select.select([self._read], [], [], max(0, end - time.monotonic()))[0]:
                raise TimeoutError("chromium does not answer")
            part = os.read(self._read, 1 << 20)
            if not part:
                raise RuntimeError("chromium has ended")
            self._buffer += part
        message, self._buffer = self._buffer.split(b"\0", 1)
        return json.loads(message)

    def _note(self, event):
        method, params = event.get("method"), event.get("params", {})
        if method == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            self.problems.append(details.get("exception", {}).get("description") or details["text"])
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "assert"):
            self.problems.append(str(params["args"]))
        elif method == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.problems.append(params["entry"]["text"])
        elif method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])

    def run(self, script):
        """The value of a JavaScript expression; promises are waited for."""
        result = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in result:
            raise RuntimeError(result["exceptionDetails"].get("exception", {}).get("description") or str(result))
        return result["result"].get("value")

    def open(self, path, dark=False, timeout=60):
        """Opens a file; returns the seconds until the page called itself ready."""
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])
        start = time.monotonic()
        self.call("Page.navigate", url="file://" + os.path.abspath(path))
        self.until("document.documentElement && document.documentElement.dataset.ready === 'yes'", timeout)
        return time.monotonic() - start

    def until(self, condition, timeout=20):
        end = time.monotonic() + timeout
        while True:
            try:
                if self.run(f"Boolean({condition})"):
                    return
            except RuntimeError:
                pass  # between two pages there is nothing to ask
            if time.monotonic() > end:
                raise TimeoutError(f"never true: {condition}; problems: {self.problems}")
            time.sleep(0.02)

    def settle(self):
        """Two frames later: what was asked for has been drawn."""
        self.run("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 60))))")

    def centre(self, selector):
        return self.run("(() => { const box = document.querySelector(%s).getBoundingClientRect();"
                        " return [box.left + box.width / 2, box.top + box.height / 2]; })()" % json.dumps(selector))

    def mouse(self, kind, x, y, **more):
        self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)

    def click(self, x, y, shift=False):
        more = {"button": "left", "clickCount": 1, "modifiers": 8 if shift else 0}
        self.mouse("mouseMoved", x, y)
        self.mouse("mousePressed", x, y, **more)
        self.mouse("mouseReleased", x, y, **more)
        self.settle()

    def click_on(self, selector, **more):
        self.run("document.querySelector(%s).scrollIntoView({ block: 'nearest' })" % json.dumps(selector))
        self.click(*self.centre(selector), **more)

    def wheel(self, x, y, delta):
        self.mouse("mouseWheel", x, y, deltaX=0, deltaY=delta)
        self.settle()

    def press(self, key):
        text = key if len(key) == 1 else ""
        self.call("Input.dispatchKeyEvent", type="keyDown", key=key, text=text)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key)
        self.settle()

    def screenshot(self, path, whole=False):
        self.settle()
        shot = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole,
                         **({"clip": self.whole_page()} if whole else {}))
        with open(path, "wb") as out:
            out.write(base64.b64decode(shot["data"]))

    def whole_page(self):
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        return {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
