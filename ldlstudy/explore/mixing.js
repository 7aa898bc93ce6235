// Mixed images and their labels: as ldlstudy/explore/mixing.py.
ldlstudy.define("mixing", (data, values) => {
  const KINDS = { CutMix: 2, RICAP: 4, mixup: 2 }, STEPS = 8, PARTS = 10000;
  const { kind, share, place } = values;
  const { labels, pixels, teacher: taught, truth: true_ } = data.samples[values.images];
  const size = pixels[0].length;
  const grid = (make) => Array.from({ length: size }, (_, i) => Array.from({ length: size }, (_, j) => make(i, j)));

  let mixed, weights = [share, 1 - share, 0, 0];
  if (kind === "mixup") {
    mixed = grid((i, j) => share * pixels[0][i][j] + (1 - share) * pixels[1][i][j]);
  } else {
    const half = Math.floor((Math.sqrt(1 - share) * size) / 2), centre = Math.min(Math.floor(place * size), size - 1);
    const inside = (at) => at >= centre - half && at < centre + half;
    const height = Math.round(place * size), width = Math.round(share * size);
    const crop = (at, border) => // from the middle
      at < border ? at + Math.floor((size - border + 1) / 2) : at - border + Math.floor((border + 1) / 2);
    const part = kind === "CutMix" ? (i, j) => (inside(i) && inside(j) ? 1 : 0)
      : (i, j) => 2 * (i >= height ? 1 : 0) + (j >= width ? 1 : 0);
    weights = [0, 0, 0, 0];
    mixed = grid((i, j) => {
      weights[part(i, j)] += 1 / size ** 2;
      return kind === "CutMix" ? pixels[part(i, j)][i][j] : pixels[part(i, j)][crop(i, height)][crop(j, width)];
    });
  }
  const step = Math.round(share * STEPS);
  const frame = kind === "mixup" ? step : step * (STEPS + 1) + Math.round(place * STEPS);
  const teacher = taught[kind][frame].map((p) => p / PARTS), truth = true_[kind][frame].map((p) => p / PARTS);
  const label = truth.map((_, k) => labels.reduce((sum, own, i) => sum + (own === k ? weights[i] : 0), 0));
  const sources = labels.slice(0, KINDS[kind]).map((own, i) => ldlstudy.image(`image ${i + 1}: ${own}`, pixels[i]));
  const mixing = `${kind}'s label`;
  const far = { [mixing]: ldlstudy.variation(label, truth), "the teacher's": ldlstudy.variation(teacher, truth) };
  const near = ldlstudy.nearest(far);
  const panel = (name, p) =>
    ldlstudy.distribution(name, p, "blue", { TV: far[name] }, near.includes(name) ? "nearest" : "");
  return {
    panels: [
      ...sources, ldlstudy.image("mixed", mixed), panel(mixing, label), panel("the teacher's", teacher),
      ldlstudy.distribution("the truth", truth, "green"),
    ],
    answer: [
      `Nearest to the truth: ${near.join(", ")}. Image 1 counts `, weights[0],
      ...(kind === "CutMix"
        ? [" in the label where λ asks for ", share, ": a box has whole pixels and ends at the border"]
        : [" in the label"]),
      ".",
    ],
  };
});
