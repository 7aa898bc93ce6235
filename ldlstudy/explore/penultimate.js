// Penultimate planes: as ldlstudy/explore/penultimate.py.
ldlstudy.define("penultimate", (data, values) => {
  const COLOURS = ["blue", "red", "green"], SHAPES = ["circle", "square", "triangle"];
  const SAME = "the same for every α";
  const plane = data.planes[values.classes][values.alpha];
  const [x, y] = data.limits[values.classes][values.axes === SAME ? SAME : values.alpha];
  const names = values.classes.split(", ");
  const legend = `● ${names[0]}  ■ ${names[1]}  ▲ ${names[2]}  ★ templates`;
  const stars = { kind: "dots", points: plane.templates, colour: "grey", shape: "star" };
  const panels = [];
  for (const [part, called] of [["train", "training"], ["test", "test"]]) {
    const dots = plane[part].map((points, k) => ({ kind: "dots", points, colour: COLOURS[k], shape: SHAPES[k] }));
    const spread = plane.numbers[`${part}_spread`], apart = plane.numbers[`${part}_distance`];
    const numbers = { spread, "clusters apart": apart, ratio: spread / apart };
    if (part === "train") numbers["templates apart"] = plane.numbers.template_distance;
    panels.push({
      title: `${called} images`, x, y, x_label: legend, y_label: "", names: [], marks: [...dots, stars],
      numbers, best: "",
    });
  }
  const share = (alpha, { test_spread: spread, test_distance: apart }) =>
    [spread / apart, ` at α = ${alpha} (`, spread, " of ", apart, ")"];
  const answer = ["The spread of test clusters over the distance between them is ", ...share(values.alpha, plane.numbers)];
  const first = data.first;
  if (values.alpha !== first) answer.push("; it is ", ...share(first, data.planes[values.classes][first].numbers));
  return { panels, answer: [...answer, "."] };
});
