// Penultimate planes: as ldlstudy/explore/penultimate.py.
ldlstudy.define("penultimate", (data, values) => {
  const COLOURS = ["blue", "red", "green"], SHAPES = ["circle", "square", "triangle"];
  const SAME = "the same for every α";
  const plane = data.planes[values.classes][values.alpha];
  const [x, y] = data.limits[values.classes][values.axes === SAME ? SAME : values.alpha];
  const names = values.classes.split(", ");
  const legend = `● ${names[0]}  ■ ${names[1]}  ▲ ${names[2]}  ★ templates`;
  const stars = { kind: "dots", points: plane.templates, colour: "grey", shape: "star" };
  const panels = [], numbers = { "templates apart": plane.numbers.template_distance };
  for (const [part, called] of [["train", "training"], ["test", "test"]]) {
    const dots = plane[part].map((points, k) => ({ kind: "dots", points, colour: COLOURS[k], shape: SHAPES[k] }));
    panels.push({
      title: `${called} images`, x, y, x_label: legend, y_label: "", names: [], marks: [...dots, stars],
    });
    const spread = plane.numbers[`${part}_spread`], apart = plane.numbers[`${part}_distance`];
    numbers[`${called} spread`] = spread;
    numbers[`${called} clusters apart`] = apart;
    numbers[`${called} ratio`] = spread / apart;
  }
  return { panels, numbers };
});
