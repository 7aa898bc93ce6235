// What people say of an image: as ldlstudy/explore/people.py.
ldlstudy.define("people", (data, values) => {
  const { votes, pixels, networks } = data.images[values.image];
  const people = votes.reduce((sum, count) => sum + count, 0);
  const share = votes.map((count) => count / people);
  const panel = (title, p, colour) => ({ ...ldlstudy.distribution(title, p, colour), names: data.classes });
  const panels = pixels.length ? [ldlstudy.image("the image", pixels)] : [];
  panels.push(panel("people", share, "green"));
  const numbers = {};
  for (const [control, colour] of [["network", "blue"], ["other", "red"]]) {
    const name = values[control];
    const p = ldlstudy.softmax(networks[name], values.temperature);
    panels.push(panel(name, p, colour));
    numbers[`${name}: cross entropy to the votes`] = share.reduce(
      (sum, s, i) => (s > 0 ? sum - s * Math.log(Math.max(p[i], 1.1754943508222875e-38)) : sum), 0);
    numbers[`${name}: total variation`] = ldlstudy.variation(share, p);
  }
  return { panels, numbers };
});
