// The labels of one image: as ldlstudy/explore/label.py.
ldlstudy.define("label", (data, values) => {
  const sample = data.samples[values.image];
  const { label, truth } = sample;
  const k = truth.length;
  const plain = ldlstudy.softmax(sample.teacher);
  const soft = ldlstudy.softmax(sample.teacher, values.temperature);
  const partner = ldlstudy.softmax(sample.partner, values.temperature);
  const hard = truth.map((_, i) => (i === label ? 1 : 0));
  const factor = Math.min(0.2, values.p2 * (plain[label] - values.p1) ** 2);
  const even = (epsilon) => hard.map((y) => y * (1 - epsilon) + epsilon / k);
  const asTaught = (epsilon) => {
    const others = soft.reduce((sum, p, i) => (i === label ? sum : sum + p), 0);
    return soft.map((p, i) => {
      if (i === label) return 1 - epsilon;
      return epsilon * (others > 0 ? p / others : 1 / (k - 1));
    });
  };
  const mean = (other, one, another) => hard.map((y, i) => one * y + another * other[i]);
  const weight = values.weight;
  const labels = {
    "one-hot": hard,
    LS: even(values.epsilon),
    ILS1: even(factor),
    ILS2: asTaught(values.epsilon),
    ILS: asTaught(factor),
    KD: mean(soft, 1 - weight, weight),
    "CS-KD": mean(partner, 1 / (1 + weight), weight / (1 + weight)),
    "Off-LDL": plain,
  };
  const far = {};
  for (const [name, one] of Object.entries(labels)) far[name] = ldlstudy.variation(one, truth);
  const near = ldlstudy.nearest(far);
  const panels = Object.entries(labels).map(([name, one]) =>
    ldlstudy.distribution(name, one, "blue", { TV: far[name] }, near.includes(name) ? "nearest" : ""));
  const place = (name) => Math.round(far[name] * 1e4); // ties in order
  const [first, ...others] = Object.keys(far).sort((a, b) => place(a) - place(b)).slice(0, 3);
  const answer = [
    `Nearest to the truth, by total variation: ${first} at `, far[first],
    ...others.flatMap((name) => [`, ${name} at `, far[name]]),
    "; the one-hot label is at ", far["one-hot"], ".",
  ];
  return {
    panels: [ldlstudy.image("the image", sample.pixels), ...panels, ldlstudy.distribution("the truth", truth, "green")],
    answer,
  };
});
