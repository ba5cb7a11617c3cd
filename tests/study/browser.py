"""Opens pages in a headless Chromium, where the machine has one."""

from __future__ import annotations

import html
import shutil
import subprocess
from pathlib import Path

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)


def chromium(page: Path, folder: Path, *arguments: str) -> str:
    profile = folder / f"profile-{len(list(folder.iterdir()))}"
    command = [CHROMIUM or "", *FLAGS, f"--user-data-dir={profile}", *arguments, page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout


def asked(page: Path, folder: Path, question: str, *arguments: str, width: int = 375) -> str:
    """What an expression of JavaScript says of `page`, the page's document, in a frame so wide."""
    inner = html.escape(page.read_text(encoding="utf-8"), quote=True)
    around = folder / "around.html"
    around.write_text(
        f'<iframe id="f" width="{width}" height="800" srcdoc="{inner}"></iframe>'
        "<p id='answer'></p><script>const f = document.getElementById('f');"
        "f.onload = () => { const page = f.contentDocument;"
        f"document.getElementById('answer').textContent = {question} }};</script>"
    )
    dom = chromium(around, folder, "--dump-dom", "--virtual-time-budget=5000", *arguments)
    return html.unescape(dom.rpartition('<p id="answer">')[2].partition("</p>")[0])
