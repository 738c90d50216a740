"""Screenshots of the studio's pages, on models of the embedded data: `python docs/screenshots.py` writes docs/studio/*.png.

Needs Chromium; `CHROMIUM=/path/to/it` where it is not on the path.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from foldin.data import EMBEDDED, Source
from foldin.experiment import train
from foldin.models import EASEConfig, FromLog, LDAConfig, MultVAEConfig, SemanticIdsConfig
from foldin.training import Config

TARGET = Path(__file__).with_name("studio")
MODELS: dict[str, Config] = {
    "multvae": MultVAEConfig(latent_dim=64, hidden_dims=(), epochs=80, batch_size=50),
    "ease": EASEConfig(regularization=200.0),
    "lda": LDAConfig(n_components=12),
    "semantic": SemanticIdsConfig(
        tokens=FromLog(codebook_size=24, levels=2, embedding_dim=16), embedding_dim=32, epochs=8
    ),
}
LIKES = ("Toy Story (1995)", "Aladdin (1992)", "Lion King, The (1994)")


def trained(folder: Path) -> list[Path]:
    """Run directories of every model."""
    source = Source(path=EMBEDDED, min_rating=4.0, protocol="strong", held_out=100)
    split = source.split()
    for name, config in MODELS.items():
        train(split, config).save(folder / name)
    return [folder / name for name in MODELS]


def shoot(page: Page, address: str) -> None:
    """Every page, one file each."""
    page.goto(address)
    for title in LIKES:
        page.get_by_label("Search titles").fill(title)
        page.get_by_role("button", name=f"Add {title}").click()
    page.get_by_text("From 3 events.").wait_for()
    page.locator(".hits .why").first.wait_for()
    page.screenshot(path=TARGET / "user.png")
    page.get_by_role("button", name=f"What changes without {LIKES[0]}").click()
    part = page.get_by_role("region", name="Without one event")
    part.get_by_role("table").wait_for()
    part.screenshot(path=TARGET / "without.png")
    page.goto(f"{address}/studio/index.html#/model")
    page.locator("#model").select_option("semantic")
    tree = page.get_by_role("region", name="Code tree")
    for nth in (0, 1):  # a code, and one of those that go on from it
        tree.locator("details > summary:visible").nth(nth).click()
        page.wait_for_timeout(500)
    box = tree.bounding_box()
    assert box is not None
    page.screenshot(path=TARGET / "codes.png", full_page=True, clip={**box, "height": 640})  # type: ignore[arg-type]
    page.locator("#model").select_option("multvae")
    page.get_by_role("button", name="Compute the bound report").click()
    page.get_by_text("Decomposition", exact=False).or_(page.get_by_role("heading", name="The bound")).first.wait_for(
        timeout=120_000
    )
    page.wait_for_timeout(500)
    page.screenshot(path=TARGET / "model.png", full_page=True)
    page.goto(f"{address}/studio/index.html#/compare")
    page.get_by_role("heading", name="Number of items in common, of ten").wait_for()
    page.screenshot(path=TARGET / "compare.png", full_page=True)
    page.goto(f"{address}/studio/index.html#/map")
    page.get_by_text("the plane shows").wait_for()
    page.wait_for_timeout(800)
    page.screenshot(path=TARGET / "map.png")
    page.emulate_media(color_scheme="dark")
    page.goto(f"{address}/studio/index.html#/lab")
    page.reload()
    page.locator(".chart svg.main-svg").nth(4).wait_for()
    for name, presses in (("em", 24), ("vi", 8), ("diffusion", 6)):
        page.locator(f"#{name}-frame").focus()
        for _ in range(presses):
            page.keyboard.press("ArrowLeft")
    page.wait_for_timeout(500)
    page.screenshot(path=TARGET / "lab.png", full_page=True)


def main() -> None:
    """Train, serve, shoot."""
    TARGET.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        command = [
            sys.executable,
            "-m",
            "foldin",
            "serve",
            *map(str, trained(Path(scratch))),
            "--no-keys",
            "--port",
            "0",
        ]
        command += ["--events", f"sqlite:///{scratch}/events.db"]
        server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert server.stderr is not None
        address = next(found[0] for found in (re.search(r"http://[\d.:]+", line) for line in server.stderr) if found)
        drain = subprocess.Popen(["cat"], stdin=server.stderr, stdout=subprocess.DEVNULL)
        try:
            with sync_playwright() as playwright:
                path = os.environ.get("CHROMIUM") or shutil.which("chromium")
                flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
                browser = playwright.chromium.launch(executable_path=path, args=flags)
                page = browser.new_page(viewport={"width": 1200, "height": 860}, color_scheme="light")
                shoot(page, address)
                browser.close()
        finally:
            server.terminate()
            server.wait(30)
            drain.wait(30)


if __name__ == "__main__":
    main()
