"""What axe finds on every page of a built site: ``python -m tests.axe [_build/html]``."""

import sys
from pathlib import Path

from axe_playwright_python.sync_playwright import Axe

from tests.browser import browser, page, served

# The theme's own: its search button, and its logo outside of all landmarks.
THEME = {("label-content-name-mismatch", ""), ("region", 'class="logo__image')}
SEEN = (("light", 1280), ("dark", 390))  # colour scheme and width


def findings(html: Path) -> dict[str, list[str]]:
    """Return the violations of each page, light and wide, dark and narrow, but for the theme's."""
    found: dict[str, list[str]] = {}
    with browser() as opened, served(html) as address:
        for path in sorted(html.rglob("*.html")):
            if "_static" in path.parts or 'http-equiv="Refresh"' in path.read_text("utf-8"):
                continue
            name = path.relative_to(html).as_posix()
            for scheme, width in SEEN:
                size = {"width": width, "height": 900}
                shown_as = {"color_scheme": scheme, "viewport": size, "offline": False}
                with page(opened, f"{address}/{name}", **shown_as) as shown:
                    violations = Axe().run(shown, options={"preload": False}).response["violations"]
                found.setdefault(name, []).extend(
                    f"{scheme}, {width} px: {v['id']}: {node['html'][:110]}"
                    for v in violations
                    for node in v["nodes"]
                    if not any(v["id"] == rule and part in node["html"] for rule, part in THEME)
                )
    return found


if __name__ == "__main__":
    every = findings(Path(sys.argv[1] if len(sys.argv) > 1 else "_build/html"))
    for name, texts in every.items():
        print(name, *(texts[:12] or ["nothing"]), sep="\n    ")
    sys.exit(any(every.values()))
