// What people say of an image: as ldlstudy/explore/people.py.
ldlstudy.define("people", (data, values) => {
  const { votes, pixels, networks } = data.images[values.image];
  const people = votes.reduce((sum, count) => sum + count, 0);
  const share = votes.map((count) => count / people);
  const panel = (...given) => ({ ...ldlstudy.distribution(...given), names: data.classes });
  const panels = pixels.length ? [ldlstudy.image("the image", pixels)] : [];
  panels.push(panel("people", share, "green"));
  const far = [];
  for (const [control, colour] of [["network", "blue"], ["other", "red"]]) {
    const name = values[control];
    const p = ldlstudy.softmax(networks[name], values.temperature);
    far.push(ldlstudy.variation(share, p));
    const entropy = share.reduce(
      (sum, s, i) => (s > 0 ? sum - s * Math.log(Math.max(p[i], 1.1754943508222875e-38)) : sum), 0);
    panels.push(panel(name, p, colour, { "cross entropy to the votes": entropy, TV: far.at(-1) }));
  }
  const answer = [
    `At this temperature the first (${values.network}) is at a total variation of `, far[0],
    ` from the people, the other (${values.other}) at `, far[1], ".",
  ];
  return { panels, answer };
});
