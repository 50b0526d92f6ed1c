"""The explorer in Chromium: bytes and time to the first picture, frames a second of its wall.

    make explorer; python -m tests.benchmarks.explorer

Takes site/build/explorer/ as it is, from the disk. A frame is a moved slider with 17 pictures, the
wall and the second one, drawn and shown. Prints the load of the machine, for other work makes all
of it slower.
"""

import os
import shutil

from playwright.sync_api import sync_playwright

from helpers.machine import ROOT

FOLDER = ROOT / "site" / "build" / "explorer"
FRAMES = 30
MOVE = f"""async () => {{
    const slider = document.querySelectorAll('#sliders input')[2], begun = performance.now();
    for (let frame = 0; frame < {FRAMES}; frame++) {{
        slider.value = frame / 10;
        slider.dispatchEvent(new Event('input'));
        while (busy) await new Promise(requestAnimationFrame);
    }}
    return {FRAMES} / (performance.now() - begun) * 1000;
}}"""


def main():
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    libraries = sum(path.stat().st_size for path in FOLDER.iterdir() if "-" not in path.name)
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--disable-gpu"])
        page = browser.new_page()
        page.goto((FOLDER / "index.html").as_uri())
        page.wait_for_function("explorer.drawn > 0")
        print(f"first picture after {page.evaluate('explorer.first') / 1000:.2f} s")
        for name in page.evaluate("Object.keys(generators)"):
            page.select_option("#generator", name)
            page.wait_for_function(f"fetchGenerator('{name}').then(g => explorer.generator === g)")
            size = libraries + (FOLDER / f"{name}.js").stat().st_size
            print(f"{name:45} {size / 1e6:.2f} MB, {page.evaluate(MOVE):5.1f} frames/s")
        browser.close()


if __name__ == "__main__":
    main()
