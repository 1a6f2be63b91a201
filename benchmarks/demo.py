"""Moves a slider of `keras-gan demo` in Chromium, and measures answers and memory.

    python benchmarks/demo.py --model=saved_models/mnist --moves=200

An answer is the time from the slider's new value to the new picture on the page. The
first moves are not counted: the server makes its graphs, and the browser its caches.
Needs playwright and a Chromium, the one of `playwright install chromium` or the
system's.
"""

import argparse
import contextlib
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent


def main():
    arguments = parsed_arguments()
    with served(arguments.model) as (url, process), opened(url) as page:
        move(page, arguments.warm_up)
        before = resident_mib(process.pid)
        seconds = sorted(move(page, arguments.moves))
        after = resident_mib(process.pid)
    print(
        f"{len(seconds)} moves: median {seconds[len(seconds) // 2]:.3f} s, 95% below "
        f"{seconds[len(seconds) * 95 // 100]:.3f} s; the server's memory went from "
        f"{before:.0f} to {after:.0f} MiB"
    )


def parsed_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True, help="a run or an export")
    parser.add_argument("--moves", type=int, default=200)
    parser.add_argument("--warm_up", type=int, default=20, help="moves before these")
    return parser.parse_args()


@contextlib.contextmanager
def served(model, *flags):
    """Serves a page: yields its URL and the process, and ends it."""
    process = subprocess.Popen(
        [
            sys.executable, "-m", "keras_gan_command", "demo", f"--model={model}",
            "--port=0", *flags,
        ],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    try:
        line = process.stdout.readline()
        found = re.match(r"Serving (http://\S+) ", line)
        if not found:
            raise SystemExit(f"error: Expected a URL. Received: {line!r}")
        yield found[1], process
    finally:
        process.terminate()
        process.wait(60)
        process.stdout.close()


def chromium():
    """Returns the path of a Chromium, or None."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        own = playwright.chromium.executable_path
    if pathlib.Path(own).exists():
        return own
    names = ("chromium", "chromium-browser", "google-chrome")
    return next(filter(None, map(shutil.which, names)), None)


@contextlib.contextmanager
def opened(url, width=1280):
    """Opens a page in Chromium, and yields it when its samples are there.

    Args:
        url: str.
        width: int, of the window in pixels.
    """
    from playwright.sync_api import sync_playwright

    path = chromium()
    if path is None:
        raise SystemExit("error: Expected a Chromium. Received: none; install one")
    with sync_playwright() as playwright:
        # Without its own sandbox Chromium also runs as root, in a container.
        browser = playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox"]
        )
        page = browser.new_page(viewport={"width": width, "height": 900})
        page.requested = []
        page.on("request", lambda request: page.requested.append(request.url))
        page.goto(url)
        page.wait_for_selector("#grid img")
        yield page
        browser.close()


def move(page, count):
    """Moves the first slider of the tab "Edit", and returns each answer's seconds."""
    page.get_by_role("tab", name="Edit").click()
    slider = page.locator("input[type=range]:visible").first
    page.wait_for_selector("#edited img")
    seconds = []
    for number in range(count):
        # No two values that follow each other are equal, nor is one the start's.
        value = 0.1 * (1 + number % 29)
        before = page.locator("#edited img").get_attribute("src")
        start = time.perf_counter()
        slider.fill(f"{value:.1f}")
        page.wait_for_function(
            "before => document.querySelector('#edited img')?.getAttribute('src') "
            "!== before",
            arg=before,
        )
        seconds.append(time.perf_counter() - start)
    return seconds


def resident_mib(process_id):
    """Returns the memory that a process holds, in MiB."""
    status = pathlib.Path(f"/proc/{process_id}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) / 1024


if __name__ == "__main__":
    main()
