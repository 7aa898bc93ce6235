"""An explorer: controls and a picture that follows them, with and without a kernel.

In JupyterLab an explorer is ipywidgets that call the package. On a page it is inputs and a script,
which computes from numbers that the page brings along, so it needs no kernel and no network. Both
make a *scene* of the same controls: panels with bars, lines and dots, and some numbers. The tests
hold the script's scenes against the package's.
"""

import html
import io
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from ldlstudy import checks, plots

SCRIPTS = Path(__file__).parent
COLOURS = {
    "blue": plots.BLUE,
    "orange": plots.ORANGE,
    "green": plots.GREEN,
    "red": plots.RED,
    "purple": plots.PURPLE,
    "grey": plots.GREY,
}
WIDGETS = "application/vnd.jupyter.widget-view+json"
Value = float | str


@dataclass(frozen=True)
class Slider:
    """A number from ``low`` to ``high`` in steps; ``value`` is where it starts."""

    name: str
    label: str
    low: float
    high: float
    step: float
    value: float

    def check(self, value: Value) -> float:
        """Return the value as a float if it is in range; a ValueError says what is."""
        if isinstance(value, str):
            raise ValueError(f"{self.name} must be a number, got {value!r}")
        return checks.in_range(self.name, float(value), self.low, self.high)


@dataclass(frozen=True)
class Choice:
    """One of ``options``; ``value`` is the first choice."""

    name: str
    label: str
    options: tuple[str, ...]
    value: str

    def check(self, value: Value) -> str:
        """Return the value if it is an option; a ValueError lists them."""
        return checks.one_of(self.name, str(value), self.options)


@dataclass(frozen=True)
class Panel:
    """One coordinate system; ``x`` and ``y`` are the ends of its axes.

    ``marks`` are dictionaries: ``kind`` is ``bars`` (``at``, ``height``, ``width``), ``line`` or
    ``dots`` (``points``), with a ``colour`` of `COLOURS`; or ``image`` (``pixels`` from 0 to 1),
    alone in its panel.
    """

    title: str
    x: tuple[float, float]
    y: tuple[float, float]
    marks: list[dict[str, Any]]
    x_label: str = ""
    y_label: str = ""
    names: list[str] = field(default_factory=list)  # of places 0, 1, ... on the x axis


@dataclass(frozen=True)
class Scene:
    """What an explorer shows: panels, and numbers by what they are called."""

    panels: list[Panel]
    numbers: dict[str, float]


class Explorer:
    """Controls and a picture that follows them.

    Parameters
    ----------
    name : str
        The script beside this module that draws the same scene on a page.
    title : str
        What it is called on the page, and read aloud.
    controls : tuple of Slider or Choice
    data : Mapping
        JSON that both `scene` and the script compute from.
    scene : callable
        From ``data`` and the values of the controls by name to a `Scene`.
    numbers : str, optional
        What the numbers are, said before them.
    """

    def __init__(
        self,
        name: str,
        title: str,
        controls: tuple[Slider | Choice, ...],
        data: Mapping[str, Any],
        scene: Callable[[Mapping[str, Any], Mapping[str, Value]], Scene],
        numbers: str = "",
    ) -> None:
        self.name, self.title, self.controls = name, title, controls
        self.data, self._scene, self.numbers = data, scene, numbers

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
            "numbers": self.numbers,
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
        import ipywidgets

        style, layout = {"description_width": "9em"}, {"width": "28em"}
        controls: dict[str, Any] = {}
        for c in self.controls:
            same = {"value": c.value, "description": c.label, "style": style, "layout": layout}
            if isinstance(c, Slider):
                controls[c.name] = ipywidgets.FloatSlider(
                    min=c.low, max=c.high, step=c.step, readout_format=".2f", **same
                )
            else:
                controls[c.name] = ipywidgets.Dropdown(options=c.options, **same)
        picture, numbers = ipywidgets.HTML(), ipywidgets.HTML()

        def show(_: Any = None) -> None:
            scene = self.scene(**{name: control.value for name, control in controls.items()})
            picture.value = _svg(figure(scene))
            numbers.value = html.escape(self.numbers + said(scene))

        for control in controls.values():
            control.observe(show, "value")
        show()
        return ipywidgets.VBox([*controls.values(), picture, numbers])

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        """Both faces: JupyterLab takes the widgets, a page the control that needs no kernel."""
        return {"text/html": self.page(), **self.widget()._repr_mimebundle_()}


def said(scene: Scene) -> str:
    """The numbers of a scene as a line of text."""
    return ", ".join(f"{name} {value:.3f}" for name, value in scene.numbers.items())


def figure(scene: Scene) -> Figure:
    """Draw a scene with matplotlib."""
    columns = min(4, len(scene.panels))
    rows = -(-len(scene.panels) // columns)
    fig, axes = plt.subplots(
        rows, columns, squeeze=False, figsize=(plots.WIDTH, 2.3 * rows), layout="constrained"
    )
    for ax in axes.flat[len(scene.panels) :]:
        ax.set_axis_off()
    for ax, panel in zip(axes.flat, scene.panels, strict=False):
        for mark in panel.marks:
            if mark["kind"] == "image":
                ax.imshow(mark["pixels"], cmap="gray_r", vmin=0, vmax=1)
                ax.set_axis_off()
            elif mark["kind"] == "bars":
                colour = COLOURS[mark["colour"]]
                ax.bar(mark["at"], mark["height"], mark["width"], color=colour)
            else:
                style = {"line": "-", "dots": "o"}[mark["kind"]]
                x, y = zip(*mark["points"], strict=True) if mark["points"] else ((), ())
                ax.plot(x, y, style, color=COLOURS[mark["colour"]], ms=4)
        ax.set_title(panel.title)
        if not ax.axison:
            continue
        ax.set(xlim=panel.x, ylim=panel.y, xlabel=panel.x_label, ylabel=panel.y_label)
        if panel.names:
            ax.set_xticks(range(len(panel.names)), panel.names)
    return fig


def _svg(fig: Figure) -> str:
    """The figure as an element of a page."""
    file = io.StringIO()
    fig.savefig(file, format="svg")
    plt.close(fig)
    return file.getvalue().partition("<!DOCTYPE")[2].partition(">")[2]
