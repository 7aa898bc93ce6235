// Draws the scenes of explorers and keeps them in step with their controls. One copy serves a page.
window.ldlstudy = window.ldlstudy || (() => {
  const scenes = {};
  let mounted = 0;

  const element = (name, attributes, ...children) => {
    const node = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    node.append(...children);
    return node;
  };
  const svg = (name, attributes, ...children) => {
    const node = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    node.append(...children);
    return node;
  };
  const short = (value) => String(Number(value.toPrecision(3))).replace(/^(-?)0\./, "$1.");

  const WIDTH = 240, HEIGHT = 190, LEFT = 44, RIGHT = 8, TOP = 24, BOTTOM = 40;

  // A panel of a scene as an <svg>, hidden from readers of the screen: the numbers are said below.
  function panel(of, colours) {
    const x = (v) => LEFT + ((v - of.x[0]) / (of.x[1] - of.x[0])) * (WIDTH - LEFT - RIGHT);
    const y = (v) => HEIGHT - BOTTOM - ((v - of.y[0]) / (of.y[1] - of.y[0])) * (HEIGHT - TOP - BOTTOM);
    const clip = (v, ends) => Math.min(Math.max(v, ends[0]), ends[1]);
    const text = (words, at, more = {}) => svg("text", { x: at[0], y: at[1], "text-anchor": "middle", ...more }, words);
    const picture = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, "aria-hidden": "true", focusable: "false" });
    picture.append(text(of.title, [(LEFT + WIDTH - RIGHT) / 2, 14], { class: "title" }));
    if (of.marks[0].kind === "image") { // pixels from 0, white, to 1, in a square without axes
      const { pixels } = of.marks[0], side = (HEIGHT - TOP - 8) / pixels.length;
      const left = (LEFT + WIDTH - RIGHT - side * pixels[0].length) / 2;
      pixels.forEach((row, i) => row.forEach((value, j) => {
        const grey = Math.round(255 * (1 - clip(value, [0, 1])));
        picture.append(svg("rect", {
          x: left + j * side, y: TOP + i * side, width: side + 0.5, height: side + 0.5,
          fill: `rgb(${grey} ${grey} ${grey})`,
        }));
      }));
      return picture;
    }
    for (const mark of of.marks) {
      if (mark.kind === "bars") {
        mark.at.forEach((at, i) => {
          const top = y(clip(mark.height[i], of.y)), half = mark.width / 2;
          picture.append(svg("rect", {
            x: x(at - half), y: top, width: x(at + half) - x(at - half),
            height: Math.max(0, y(of.y[0]) - top), fill: colours[mark.colour],
          }));
        });
      } else if (mark.kind === "line") {
        const points = mark.points.map(([a, b]) => `${x(a)},${y(b)}`).join(" ");
        const colour = mark.colour === "grey" ? "currentColor" : colours[mark.colour];
        picture.append(svg("polyline", { points, fill: "none", stroke: colour, "stroke-width": 1.5 }));
      } else {
        for (const [a, b] of mark.points)
          picture.append(svg("circle", { cx: x(a), cy: y(b), r: 3, fill: colours[mark.colour] }));
      }
    }
    const bottom = HEIGHT - BOTTOM;
    picture.append(svg("path", {
      d: `M${LEFT} ${TOP}V${bottom}H${WIDTH - RIGHT}`, fill: "none", stroke: "currentColor",
    }));
    const named = of.names.length ? of.names.map((name, i) => [i, name]) : [0, 0.5, 1].map((share) => {
      const at = of.x[0] + share * (of.x[1] - of.x[0]);
      return [at, short(at)];
    });
    for (const [at, name] of named) picture.append(text(name, [x(at), bottom + 15]));
    for (const share of [0, 0.5, 1]) {
      const at = of.y[0] + share * (of.y[1] - of.y[0]);
      picture.append(text(short(at), [LEFT - 5, y(at) + 4], { "text-anchor": "end" }));
    }
    picture.append(text(of.x_label, [(LEFT + WIDTH - RIGHT) / 2, HEIGHT - 5]));
    picture.append(text(of.y_label, [0, 0], { transform: `translate(12 ${(TOP + bottom) / 2}) rotate(-90)` }));
    return picture;
  }

  // An input with its label, and the value it stands at.
  function input(control, id, changed) {
    const label = element("label", { for: id }, control.label);
    if (control.kind === "Choice") {
      const select = element("select", { id });
      for (const option of control.options) select.append(element("option", { value: option }, option));
      select.value = control.value;
      select.addEventListener("change", changed);
      return { row: [label, select, element("span", {})], value: () => select.value };
    }
    const range = element("input", {
      id, type: "range", min: control.low, max: control.high, step: control.step,
    });
    range.value = control.value;
    const shown = element("output", { for: id });
    const show = () => { shown.textContent = short(Number(range.value)); };
    range.addEventListener("input", () => { show(); changed(); });
    show();
    return { row: [label, range, shown], value: () => Number(range.value) };
  }

  function mount(section) {
    const content = JSON.parse(section.querySelector("script[type='application/json']").textContent);
    const scene = scenes[section.dataset.explorer];
    const picture = element("div", { class: "panels" });
    const numbers = element("p", { class: "numbers", "aria-live": "polite" });
    const prefix = `explorer-${(mounted += 1)}-`;
    const inputs = {};
    const draw = () => {
      const values = Object.fromEntries(Object.entries(inputs).map(([name, one]) => [name, one.value()]));
      const made = scene(content.data, values);
      section.scene = made;
      picture.replaceChildren(...made.panels.map((each) => panel(each, content.colours)));
      numbers.textContent = content.numbers + Object.entries(made.numbers).map(([n, v]) => `${n} ${v.toFixed(3)}`).join(", ");
    };
    const form = element("form", {});
    form.addEventListener("submit", (event) => event.preventDefault());
    for (const control of content.controls) {
      inputs[control.name] = input(control, prefix + control.name, draw);
      inputs[control.name].row[1].name = control.name;
      form.append(...inputs[control.name].row);
    }
    section.querySelector("p").replaceWith(element("p", { class: "title" }, content.title), form, picture, numbers);
    section.sceneAt = (values) => scene(content.data, values);
    draw();
  }

  const softmax = (logits, temperature = 1) => {
    const most = Math.max(...logits);
    const powers = logits.map((z) => Math.exp((z - most) / temperature));
    const total = powers.reduce((a, b) => a + b, 0);
    return powers.map((power) => power / total);
  };

  return { define: (name, scene) => { scenes[name] = scene; }, mount, scenes, softmax };
})();
