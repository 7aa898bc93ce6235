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
  const rounded = (value) => (value + 1e-9).toFixed(3);
  const short = (value) => String(Number(value.toPrecision(3))).replace(/^(-?)0\./, "$1.");

  const WIDTH = 240, HEIGHT = 190, LEFT = 44, RIGHT = 14, TOP = 24, BOTTOM = 40;

  const TINT = 0.5; // of the colours of areas

  // Cells that fill a place, rows from above; `ink` turns a value into a colour and how much of it.
  function cells(rows, ink, place) {
    const canvas = element("canvas", { width: rows[0].length, height: rows.length });
    const brush = canvas.getContext("2d");
    brush.fillStyle = "#fff";
    brush.fillRect(0, 0, canvas.width, canvas.height);
    rows.forEach((row, i) => row.forEach((value, j) => {
      [brush.fillStyle, brush.globalAlpha] = ink(value);
      brush.fillRect(j, i, 1, 1);
    }));
    const style = "image-rendering: pixelated";
    return svg("image", { href: canvas.toDataURL(), preserveAspectRatio: "none", style, ...place });
  }
  const FRAME = { x: LEFT, y: TOP, width: WIDTH - LEFT - RIGHT, height: HEIGHT - TOP - BOTTOM };
  const map = (rows, ink) => [cells([...rows].reverse(), ink, FRAME)];

  // The outline of a dot around (x, y).
  const shapes = {
    circle: (x, y) => `M${x - 3} ${y}a3 3 0 1 0 6 0a3 3 0 1 0 -6 0z`,
    square: (x, y) => `M${x - 2.6} ${y - 2.6}h5.2v5.2h-5.2z`,
    triangle: (x, y) => `M${x} ${y - 3.4}l3.4 6h-6.8z`,
    star: (x, y) => `M${x} ${y - 7}l2 5h5l-4 3l2 5l-5 -3l-5 3l2 -5l-4 -3h5z`,
  };

  // How each kind of mark is drawn: a list of elements. `to` has the place of a value on each axis.
  const drawn = {
    areas: (mark, _, colours) => map(mark.rows, (k) => [colours[mark.colours[k]], TINT]),
    shades: (mark, _, colours) => map(mark.rows, (v) => [colours[mark.colour], v]),
    bars: (mark, to, colours) => mark.at.map((at, i) => {
      const top = to.y(mark.height[i]), half = mark.width / 2;
      return svg("rect", {
        x: to.x(at - half), y: top, width: to.x(at + half) - to.x(at - half),
        height: Math.max(0, to.y(to.floor) - top), fill: colours[mark.colour],
      });
    }),
    line: (mark, to, colours) => [svg("polyline", {
      points: mark.points.map(([a, b]) => `${to.x(a)},${to.y(b)}`).join(" "), fill: "none",
      stroke: mark.colour === "grey" ? "currentColor" : colours[mark.colour], "stroke-width": 1.5,
    })],
    dots: (mark, to, colours) => [svg("path", {
      d: mark.points.map(([a, b]) => shapes[mark.shape](to.x(a), to.y(b))).join(""),
      fill: colours[mark.colour], stroke: "#fff", "stroke-width": 0.4,
    })],
    words: (mark, to) => mark.points.map(([a, b], i) =>
      text(mark.words[i], [to.x(a), to.y(b) + 4], { class: "word" })),
  };

  const text = (words, at, more = {}) => svg("text", { x: at[0], y: at[1], "text-anchor": "middle", ...more }, words);

  // A panel of a scene as an <svg>, hidden from readers of the screen: the numbers are said below.
  function panel(of, colours) {
    const clip = (v, ends) => Math.min(Math.max(v, ends[0]), ends[1]);
    const x = (v) => LEFT + ((v - of.x[0]) / (of.x[1] - of.x[0])) * (WIDTH - LEFT - RIGHT);
    const y = (v) => HEIGHT - BOTTOM - ((clip(v, of.y) - of.y[0]) / (of.y[1] - of.y[0])) * (HEIGHT - TOP - BOTTOM);
    const picture = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, "aria-hidden": "true", focusable: "false" });
    picture.append(text(of.title, [(LEFT + WIDTH - RIGHT) / 2, 14], { class: "title" }));
    if (of.marks[0].kind === "image") { // pixels from 0, white, to 1, in a square without axes
      const { pixels } = of.marks[0], side = HEIGHT - TOP - 8;
      const place = { x: (LEFT + WIDTH - RIGHT - side) / 2, y: TOP, width: side, height: side };
      picture.append(cells(pixels, (value) => ["#000", clip(value, [0, 1])], place));
      return picture;
    }
    for (const mark of of.marks) picture.append(...drawn[mark.kind](mark, { x, y, floor: of.y[0] }, colours));
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

  // A panel, what its signs mean, and its numbers under it; the best is framed and says so.
  const SIGNS = { bars: "■", line: "―", dots: "●" };
  function framed(of, colours) {
    const legend = of.marks.filter((mark) => mark.label).map((mark) => {
      const colour = mark.colour === "grey" ? "currentColor" : colours[mark.colour];
      const sign = element("i", { "aria-hidden": "true", style: `color: ${colour}` }, SIGNS[mark.kind]);
      return element("span", { class: "sign" }, sign, ` ${mark.label}`);
    });
    const numbers = Object.entries(of.numbers).map(([name, value]) => `${name} ${rounded(value)}`);
    const said = [...numbers, ...(of.best ? [of.best] : [])].join(", ");
    const caption = element("figcaption", {}, element("span", { class: "unseen" }, `${of.title}: `), ...legend, element("span", { class: "under" }, said));
    return element("figure", of.best ? { class: "best" } : {}, panel(of, colours), ...(legend.length || said ? [caption] : []));
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
    const answer = element("p", { class: "answer", "aria-live": "polite" });
    const prefix = `explorer-${(mounted += 1)}-`;
    const inputs = {};
    const draw = () => {
      const values = Object.fromEntries(Object.entries(inputs).map(([name, one]) => [name, one.value()]));
      const made = scene(content.data, values);
      section.scene = made;
      picture.replaceChildren(...made.panels.map((each) => framed(each, content.colours)));
      answer.textContent = made.answer.map((part) => (typeof part === "string" ? part : rounded(part))).join("");
      for (const { name, only } of content.controls)
        inputs[name].row[1].disabled = only !== null && !only[1].includes(values[only[0]]);
    };
    const form = element("form", {});
    form.addEventListener("submit", (event) => event.preventDefault());
    for (const control of content.controls) {
      inputs[control.name] = input(control, prefix + control.name, draw);
      inputs[control.name].row[1].name = control.name;
      form.append(...inputs[control.name].row);
    }
    section.querySelector("p").replaceWith(element("p", { class: "title" }, content.title), element("p", {}, content.question), form, picture, answer);
    section.sceneAt = (values) => scene(content.data, values);
    draw();
  }

  const softmax = (logits, temperature = 1) => {
    const most = Math.max(...logits);
    const powers = logits.map((z) => Math.exp((z - most) / temperature));
    const total = powers.reduce((a, b) => a + b, 0);
    return powers.map((power) => power / total);
  };

  const bytes = (text) => Array.from(atob(text), (letter) => letter.charCodeAt(0)); // of base64
  const variation = (one, other) => one.reduce((sum, p, i) => sum + Math.abs(p - other[i]), 0) / 2;

  // As in ldlstudy/explore/scene.py: the least of some distances, and panels that several scenes have.
  const nearest = (far) => {
    const least = Math.min(...Object.values(far));
    return Object.keys(far).filter((name) => far[name] < least + 5e-4);
  };
  const image = (title, pixels) => ({
    title, x: [0, pixels[0].length], y: [pixels.length, 0], x_label: "", y_label: "", names: [],
    marks: [{ kind: "image", pixels }], numbers: {}, best: "",
  });
  const distribution = (title, height, colour, numbers = {}, best = "") => {
    const at = height.map((_, i) => i);
    return {
      title, x: [-0.6, at.length - 0.4], y: [0, 1], x_label: "", y_label: "", names: at.map(String),
      marks: [{ kind: "bars", at, height, width: 0.8, colour }], numbers, best,
    };
  };

  const define = (name, scene) => { scenes[name] = scene; };
  return { define, mount, scenes, softmax, bytes, variation, nearest, image, distribution };
})();
