// Scores of errors: as ldlstudy/explore/errors.py.
ldlstudy.define("errors", (data, values) => {
  const BINS = 20;
  const histogram = (title, scores, colour) => {
    const count = Array(BINS).fill(0);
    for (const score of scores) count[Math.min(BINS - 1, Math.floor(score * BINS))] += 1;
    return {
      title, x: [0, 1], y: [0, 0.5], x_label: "score", y_label: "share of errors", names: [],
      marks: [{
        kind: "bars", at: count.map((_, b) => (b + 0.5) / BINS),
        height: count.map((c) => c / Math.max(1, scores.length)), width: 0.9 / BINS, colour,
      }],
    };
  };
  const panels = [], numbers = {};
  for (const [control, colour] of [["network", "blue"], ["other", "red"]]) {
    const name = values[control], network = data.networks[name];
    const chosen = [], right = [];
    network.labels.forEach((label, i) => {
      const p = ldlstudy.softmax(network.log_probabilities[i], values.temperature);
      const most = Math.max(...p);
      if (p.indexOf(most) === label) return;
      chosen.push(most);
      right.push(p[label]);
    });
    panels.push(histogram(`${name}: predicted class`, chosen, colour));
    panels.push(histogram(`${name}: true class`, right, colour));
    numbers[`${name}: share of errors`] = chosen.length / network.labels.length;
    const sum = chosen.reduce((a, b) => a + b, 0);
    numbers[`${name}: mean confidence in them`] = chosen.length ? sum / chosen.length : 0;
  }
  return { panels, numbers };
});
