// The reliability diagram: as ldlstudy/explore/reliability.py.
ldlstudy.define("reliability", (data, values) => {
  const { labels, log_probabilities: logits } = data.networks[values.network];
  const n = labels.length, bins = values.bins;
  const left = values.edges.startsWith("[");
  const count = Array(bins).fill(0), hits = Array(bins).fill(0), total = Array(bins).fill(0);
  let nll = 0, right = 0;
  labels.forEach((label, i) => {
    const p = ldlstudy.softmax(logits[i], values.temperature);
    const confidence = Math.max(...p), correct = p.indexOf(confidence) === label ? 1 : 0;
    let bin = 0; // inner edges below the confidence, or at it where a bin has its lower edge
    while (bin < bins - 1 && (left ? (bin + 1) / bins <= confidence : (bin + 1) / bins < confidence)) bin += 1;
    count[bin] += 1;
    hits[bin] += correct;
    total[bin] += confidence;
    nll -= Math.log(p[label]) / n;
    right += correct / n;
  });
  const full = count.map((_, b) => b).filter((b) => count[b] > 0);
  const at = full.map((b) => (b + 0.5) / bins), width = 0.9 / bins;
  const accuracy = full.map((b) => hits[b] / count[b]);
  const share = full.map((b) => count[b] / n);
  const points = full.map((b, i) => [total[b] / count[b], accuracy[i]]);
  const ece = full.reduce((sum, b) => sum + Math.abs(hits[b] - total[b]) / n, 0);
  const axes = { x: [0, 1], y: [0, 1], x_label: "confidence", names: [] };
  const bars = (height, colour) => ({ kind: "bars", at, height, width, colour });
  return {
    panels: [
      {
        ...axes, title: "reliability", y_label: "accuracy",
        marks: [
          bars(accuracy, "blue"),
          { kind: "line", points: [[0, 0], [1, 1]], colour: "grey" },
          { kind: "dots", points, colour: "red", shape: "circle" },
        ],
      },
      { ...axes, title: "images", y_label: "share", marks: [bars(share, "purple")] },
    ],
    numbers: { ECE: ece, NLL: nll, accuracy: right },
  };
});
