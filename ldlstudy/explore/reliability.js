// The reliability diagram: as ldlstudy/explore/reliability.py.
ldlstudy.define("reliability", (data, values) => {
  const { labels, log_probabilities: logits } = data.networks[values.network];
  const n = labels.length, bins = values.bins;
  const count = Array(bins).fill(0), hits = Array(bins).fill(0), total = Array(bins).fill(0);
  let nll = 0, right = 0, sure = 0;
  labels.forEach((label, i) => {
    const p = ldlstudy.softmax(logits[i], values.temperature);
    const confidence = Math.max(...p), correct = p.indexOf(confidence) === label ? 1 : 0;
    let bin = 0; // inner edges below the confidence
    while (bin < bins - 1 && (bin + 1) / bins < confidence) bin += 1;
    count[bin] += 1;
    hits[bin] += correct;
    total[bin] += confidence;
    nll -= Math.log(p[label]) / n;
    right += correct / n;
    sure += confidence / n;
  });
  const full = count.map((_, b) => b).filter((b) => count[b] > 0);
  const at = full.map((b) => (b + 0.5) / bins), width = 0.9 / bins;
  const accuracy = full.map((b) => hits[b] / count[b]);
  const share = full.map((b) => count[b] / n);
  const points = full.map((b, i) => [total[b] / count[b], accuracy[i]]);
  const ece = full.reduce((sum, b) => sum + Math.abs(hits[b] - total[b]) / n, 0);
  const axes = { x: [0, 1], y: [0, 1], x_label: "confidence", names: [] };
  const bars = (height, colour, label) => ({ kind: "bars", at, height, width, colour, label });
  const away = sure > right ? "too sure" : "not sure enough";
  return {
    panels: [
      {
        ...axes, title: "reliability", y_label: "accuracy", numbers: { ECE: ece, NLL: nll }, best: "",
        marks: [
          bars(accuracy, "blue", "accuracy in a bin"),
          { kind: "line", points: [[0, 0], [1, 1]], colour: "grey", label: "as often right as said" },
          { kind: "dots", points, colour: "red", shape: "circle", label: "its mean confidence" },
        ],
      },
      {
        ...axes, title: "images", y_label: "share", numbers: {}, best: "",
        marks: [bars(share, "purple", "share of the images in a bin")],
      },
    ],
    answer: [
      "At this temperature the network is on the whole ",
      Math.abs(sure - right) >= 0.005 ? away : "as sure as it should be",
      ": its mean confidence is ", sure, " and its accuracy ", right,
      `. Over ${bins} bins the two are `, ece, " apart (ECE).",
    ],
  };
});
