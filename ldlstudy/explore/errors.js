// Scores of errors: as ldlstudy/explore/errors.py.
ldlstudy.define("errors", (data, values) => {
  const BINS = 20;
  const histogram = (title, scores, colour, numbers) => {
    const count = Array(BINS).fill(0);
    for (const score of scores) count[Math.min(BINS - 1, Math.floor(score * BINS))] += 1;
    return {
      title, x: [0, 1], y: [0, 0.5], x_label: "score", y_label: "share of errors", names: [],
      marks: [{
        kind: "bars", at: count.map((_, b) => (b + 0.5) / BINS),
        height: count.map((c) => c / Math.max(1, scores.length)), width: 0.9 / BINS, colour,
      }],
      numbers, best: "",
    };
  };
  const mean = (scores) => scores.reduce((a, b) => a + b, 0) / Math.max(1, scores.length);
  const panels = [], means = [];
  for (const [control, colour, t] of [["network", "blue", values.temperature], ["other", "red", 1]]) {
    const name = values[control], network = data.networks[name];
    const chosen = [], right = [];
    network.labels.forEach((label, i) => {
      const p = ldlstudy.softmax(network.log_probabilities[i], t);
      const most = Math.max(...p);
      if (p.indexOf(most) === label) return;
      chosen.push(most);
      right.push(p[label]);
    });
    const [most, own] = [mean(chosen), mean(right)];
    means.push(most, own);
    const share = chosen.length / network.labels.length;
    panels.push(histogram(`${name}: predicted class`, chosen, colour, { mean: most, "share of errors": share }));
    panels.push(histogram(`${name}: true class`, right, colour, { mean: own }));
  }
  const answer = [
    `Where it errs, the first (${values.network}) at this temperature gives the class it chose `, means[0],
    " and the true one ", means[1], `; the other (${values.other}), as trained, `, means[2], " and ", means[3], ".",
  ];
  return { panels, answer };
});
