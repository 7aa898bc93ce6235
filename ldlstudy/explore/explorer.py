"""An explorer: a question, controls, and a picture and an answer that follow them.

In JupyterLab an explorer is ipywidgets that call the package. On a page it is inputs and a script,
which computes from numbers that the page brings along, so it needs no kernel and no network. Both
make a :class:`~ldlstudy.explore.scene.Scene` of the same controls. The tests hold the script's
scenes against the package's.
"""

import html
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ldlstudy import checks
from ldlstudy.explore.scene import COLOURS, Scene, figure, in_words, svg
from ldlstudy.extras import needs

SCRIPTS = Path(__file__).parent
Value = float | str


@dataclass(frozen=True)
class Slider:
    """A number from ``low`` to ``high`` in steps; ``value`` is where it starts.

    Where it decides nothing it cannot be moved: ``only`` names another control, and the values of
    that at which it can.
    """

    name: str
    label: str
    low: float
    high: float
    step: float
    value: float
    only: tuple[str, tuple[str, ...]] | None = None

    def check(self, value: Value) -> float:
        """Return the value as a float if it is in range; a ValueError says what is."""
        if isinstance(value, str):
            raise ValueError(f"{self.name} must be a number, got {value!r}")
        return checks.in_range(self.name, float(value), self.low, self.high)


@dataclass(frozen=True)
class Choice:
    """One of ``options``; ``value`` is the first choice, ``only`` as of a `Slider`."""

    name: str
    label: str
    options: tuple[str, ...]
    value: str
    only: tuple[str, tuple[str, ...]] | None = None

    def check(self, value: Value) -> str:
        """Return the value if it is an option; a ValueError lists them."""
        return checks.one_of(self.name, str(value), self.options)


def enabled(control: Slider | Choice, values: Mapping[str, Value]) -> bool:
    """Whether a control decides anything at these values of the others."""
    return control.only is None or values[control.only[0]] in control.only[1]


class Explorer:
    """A question, controls, and a picture and an answer that follow them.

    Parameters
    ----------
    name : str
        The script beside this module that draws the same scene on a page.
    title : str
        What it is called on the page, and read aloud.
    question : str
        What a reader can find out with the controls; the scene's answer answers it.
    controls : tuple of Slider or Choice
    data : Mapping
        JSON that both `scene` and the script compute from.
    scene : callable
        From ``data`` and the values of the controls by name to a `Scene`.
    """

    def __init__(
        self,
        name: str,
        title: str,
        question: str,
        controls: tuple[Slider | Choice, ...],
        data: Mapping[str, Any],
        scene: Callable[[Mapping[str, Any], Mapping[str, Value]], Scene],
    ) -> None:
        self.name, self.title, self.question = name, title, question
        self.controls, self.data, self._scene = controls, data, scene

    def scene(self, **values: Value) -> Scene:
        """The scene at some values of the controls; those that are not given are where they start.

        Raises
        ------
        ValueError
            A control that there is not (the known ones are listed), or a value out of range.
        """
        known = {control.name: control for control in self.controls}
        for name in values:
            checks.one_of("control", name, known)
        start = {name: control.value for name, control in known.items()}
        asked = {name: known[name].check(value) for name, value in (start | values).items()}
        return self._scene(self.data, asked)

    def page(self) -> str:
        """The explorer as HTML that needs no kernel and loads nothing."""
        content = {
            "title": self.title,
            "question": self.question,
            "controls": [{"kind": type(c).__name__, **asdict(c)} for c in self.controls],
            "data": self.data,
            "colours": COLOURS,
        }
        scripts = [(SCRIPTS / f"{name}.js").read_text("utf-8") for name in ("explorer", self.name)]
        # "</script" would end the element.
        embedded = json.dumps(content, allow_nan=False, separators=(",", ":"))
        embedded = embedded.replace("<", "\\u003c")
        return (
            f'<section class="explorer" aria-label="{html.escape(self.title)}" '
            f'data-explorer="{self.name}">\n<p>This control needs JavaScript.</p>\n'
            f'<script type="application/json">{embedded}</script>\n'
            f"<script>\n{''.join(scripts)}ldlstudy.mount(document.currentScript.parentNode);\n"
            "</script>\n</section>"
        )

    def widget(self) -> Any:
        """The explorer as ipywidgets, which call the package."""
        with needs("book"):
            import ipywidgets

        style, layout = {"description_width": "14em"}, {"width": "33em"}
        controls: dict[str, Any] = {}
        for c in self.controls:
            same = {"value": c.value, "description": c.label, "style": style, "layout": layout}
            if isinstance(c, Slider):
                controls[c.name] = ipywidgets.FloatSlider(
                    min=c.low, max=c.high, step=c.step, readout_format=".2f", **same
                )
            else:
                controls[c.name] = ipywidgets.Dropdown(options=c.options, **same)
        question = ipywidgets.HTML(html.escape(self.question))
        picture, answer = ipywidgets.HTML(), ipywidgets.HTML()

        def show(_: Any = None) -> None:
            values = {name: control.value for name, control in controls.items()}
            for control in self.controls:
                controls[control.name].disabled = not enabled(control, values)
            scene = self.scene(**values)
            picture.value = svg(figure(scene))
            answer.value = html.escape(in_words(scene.answer))

        for control in controls.values():
            control.observe(show, "value")
        show()
        return ipywidgets.VBox([question, *controls.values(), picture, answer])

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        """Both faces: JupyterLab takes the widgets, a page the control that needs no kernel."""
        return {"text/html": self.page(), **self.widget()._repr_mimebundle_()}
