// Pages of records: a field that filters their rows, and a link to a row opens what holds it.
(() => {
  const main = document.querySelector("article");
  const tables = [...(main?.querySelectorAll("details.setting") ?? [])];
  if (!tables.length) return;

  const field = Object.assign(document.createElement("input"), {
    type: "search",
    placeholder: "method, setting, id, score, …",
  });
  const label = document.createElement("label");
  const said = Object.assign(document.createElement("output"), { className: "found" });
  label.className = "search-records";
  label.append("Find records: ", field, " ", said);
  tables[0].before(label);

  field.addEventListener("input", () => {
    const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    let found = 0;
    for (const table of tables) {
      const setting = table.querySelector("summary").textContent.toLowerCase();
      let inside = 0;
      for (const row of table.querySelectorAll("tbody tr")) {
        const text = `${setting} ${row.textContent.toLowerCase()}`;
        row.hidden = !words.every((word) => text.includes(word));
        inside += !row.hidden;
      }
      table.hidden = !inside;
      table.open = words.length > 0 && inside > 0;
      found += inside;
    }
    said.textContent = words.length ? `${found} found` : "";
  });

  const open = () => {
    const row = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    const table = row && row.closest("details.setting");
    if (!table) return;
    table.open = true;
    row.scrollIntoView({ block: "center" });
  };
  window.addEventListener("hashchange", open);
  open();
})();
