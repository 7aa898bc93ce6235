// Maps of the plane: as ldlstudy/explore/plane.py.
ldlstudy.define("plane", (data, values) => {
  const COLUMNS = 36, ROWS = 22, LEVELS = 255, LARGEST = 0.5;
  const COLOURS = ["blue", "red", "green"], SHAPES = ["circle", "square", "triangle"];
  const axes = { x: [-7.5, 8.5], y: [-4.5, 4.5], names: [] };
  const unpacked = (text) => {
    const levels = ldlstudy.bytes(text);
    return Array.from({ length: ROWS }, (_, i) => Array.from({ length: COLUMNS }, (_, j) => {
      const at = 2 * (i * COLUMNS + j), [a, b] = [levels[at], levels[at + 1]];
      return [a, b, Math.max(0, LEVELS - a - b)].map((level) => level / LEVELS);
    }));
  };
  const shades = (rows) => [{ kind: "shades", rows, colour: "grey" }];
  const aboveChance = (p) => shades(p.map((row) => row.map((cell) => Math.max(0, Math.max(...cell) * 1.5 - 0.5))));
  const regions = (p) => {
    const rows = p.map((row) => row.map((cell) => cell.indexOf(Math.max(...cell))));
    const words = data.cells.map(([i, j]) => String(rows[i][j] + 1));
    return [{ kind: "areas", rows, colours: COLOURS }, { kind: "words", points: data.places, words }];
  };

  const chosen = data.sets[values.set];
  const name = values.method === "hard labels" ? values.method : `${values.method}, ε = ${values.factor}`;
  const network = chosen.networks[name];
  const p = unpacked(network.map), truth = unpacked(data.truth);
  const dots = chosen.points.map((points, k) => ({ kind: "dots", points, colour: COLOURS[k], shape: SHAPES[k] }));
  let left = aboveChance(p), right = aboveChance(truth);
  let legend = ["white 1/3, grey 1", "white 1/3, grey 1"], titles = ["confidence", "confidence"];
  if (values.shown === "decision regions") {
    left = regions(p);
    right = regions(truth);
    legend = ["1, 2, 3: class chosen", "1, 2, 3: class chosen"];
    titles = [values.shown, values.shown];
  } else if (values.shown === "error against Bayes") {
    left = shades(p.map((row, i) => row.map((cell, j) =>
      Math.min(1, ldlstudy.variation(cell, truth[i][j]) / LARGEST))));
    legend[0] = "white 0, grey .5 or more";
    titles[0] = "error";
  }
  const far = {};
  for (const [key, each] of Object.entries(chosen.networks)) far[key] = each.numbers["total variation from the truth"];
  const near = ldlstudy.nearest(far);
  return {
    panels: [
      {
        ...axes, title: `${name}: ${titles[0]}`, marks: [left[0], ...dots, ...left.slice(1)],
        x_label: "training points: ● 1  ■ 2  ▲ 3", y_label: legend[0],
        numbers: network.numbers, best: "",
      },
      {
        ...axes, title: `Bayes-optimal: ${titles[1]}`, marks: right, x_label: "first feature", y_label: legend[1],
        numbers: chosen.bayes, best: "",
      },
    ],
    answer: [
      `On ${data.points} test points this network (${name}) is at a total variation of `, far[name],
      " from the truth", ...(name === "hard labels" ? [] : [", that of hard labels at ", far["hard labels"]]),
      `. The nearest of this training set: ${near.join("; ")}, at `, far[near[0]], ".",
    ],
  };
});
