// A sentence on its way through a model, from top to bottom.  What it tells: the whole way in a
// sentence.
class PipelinePanel {
  constructor(root, legend, onView, ask) {
    this.legend = legend;
    this.controls = element("div", { class: "explorer-menus" });
    if (ask && legend.pad_to) this.buildControls(ask);
    this.steps = Object.fromEntries(
      Object.entries(legend.steps).map(([step, words]) => [step, new PipelineStep(step, ...words)]),
    );
    const { text, tokens, output } = this.steps;
    this.typed = element("p", { class: "explorer-typed", dir: "auto" });
    const start = element("div", { class: "explorer-stage" }, text.head, this.typed);
    this.grid = new Grid(() => this.read());
    this.grid.table.classList.add("explorer-pipeline");
    this.grid.table.prepend(element("caption", {}, element("span", {}, legend.columns)));
    this.grid.header.append(...tokens.headers(1));
    this.frame = element("div", { class: "explorer-frame" }, this.grid.table);
    this.reading = element("p", { class: "explorer-reading", "aria-live": "polite" });
    this.bars = new Bars("class");
    this.end = element("div", { class: "explorer-stage" }, output.head, this.bars.table);
    this.sentence = element("p", { class: "explorer-sentence" });
    this.told = [this.sentence];
    root.replaceChildren(this.controls, start, this.frame, this.reading, this.end, this.sentence);
  }

  buildControls(ask) {
    const { pad, pad_to } = this.legend;
    this.padding = focusable("input", { type: "checkbox" });
    this.padding.addEventListener("change", () => ask(() => (this.padding.checked ? { pad_to } : {})));
    this.controls.append(field(fill(pad, { pad_to }), this.padding));
  }

  // What has been asked for, here or in another view.
  set({ pad_to }) {
    if (this.padding) this.padding.checked = Boolean(pad_to);
  }

  show(picture) {
    this.picture = picture;
    const focused = this.frame.contains(document.activeElement);
    const shown = Object.keys(this.steps).filter((step) => step in picture.shapes);
    shown.forEach((step, place) => this.steps[step].show(place + 1, picture));
    setText(this.typed, picture.text);
    this.fitGrid();
    this.paint();
    this.end.hidden = !picture.classes;
    if (picture.classes) this.paintBars();
    setText(this.sentence, picture.sentence);
    this.read();
    if (focused) this.grid.focus();
  }

  fitGrid() {
    const { tokens, added, mask, norms = [] } = this.picture;
    const rows = ["ids", "mask"].filter((step) => step in this.picture).map((step) => [step]);
    this.rows = [...rows, ...norms.map((_, layer) => ["hidden", layer])];
    // Rows of another kind, as of another model, begin afresh.
    if (this.kinds !== this.rows.join()) this.grid.body.replaceChildren();
    this.kinds = this.rows.join();
    fit(this.grid.header, tokens.length + 2, () => element("th", { scope: "col" }, chip()));
    tokens.forEach((token, column) => {
      const node = this.grid.header.children[column + 2].firstChild;
      paintChip(node, token, added[column]);
      node.classList.toggle("explorer-padding", mask?.[column] === 0);
    });
    this.grid.fit(this.rows.length, tokens.length, (row) => this.makeRow(...this.rows[row]));
  }

  makeRow(step, layer) {
    if (step !== "hidden") return element("tr", {}, ...this.steps[step].headers(1));
    const name = fill(this.legend.layers[Math.min(layer, 1)], { layer });
    if (layer) return element("tr", {}, element("th", { scope: "row" }, name));
    return element("tr", {}, ...this.steps.hidden.headers(this.picture.norms.length, name));
  }

  paint() {
    const { ids, mask, norms, levels } = this.picture;
    this.rows.forEach(([step, layer], row) =>
      this.grid.rows[row].forEach((cell, column) => {
        if (step === "hidden") {
          shade(cell, levels[layer][column], norms[layer][column].toFixed(1), this.legend);
        } else {
          setText(cell, String((step === "ids" ? ids : mask)[column]));
          cell.classList.toggle("explorer-padding", mask?.[column] === 0);
        }
      }),
    );
  }

  paintBars() {
    const { words, shares, chosen, others, rest } = this.picture.classes;
    const rows = words.map((word, place) => [word, shares[place], place === chosen && this.legend.mark]);
    if (others) rows.push([fill(this.legend.others, { count: others.toLocaleString("en") }), rest]);
    this.bars.show(this.legend.classes, rows);
  }

  // One cell in words.
  read() {
    const at = this.picture && this.grid.at();
    if (!at) return setText(this.reading, "");
    const { tokens, ids, mask, norms, peeks, size } = this.picture;
    const [step, layer] = this.rows[at[0]];
    const { readings } = this.legend;
    const token = tokens[at[1]];
    if (step === "ids") return setText(this.reading, fill(readings.ids, { token, idx: ids[at[1]] }));
    if (step === "mask") return setText(this.reading, fill(readings.mask[mask[at[1]]], { token }));
    const peek = peeks[layer][at[1]].map((number) => number.toFixed(2)).join(", ");
    const words = { token, layer, size, peek, norm: norms[layer][at[1]].toFixed(1) };
    setText(this.reading, fill(readings.hidden[Math.min(layer, 1)], words));
  }
}

// A step's name, its shape, and what it is.
class PipelineStep {
  constructor(step, name, what, row) {
    Object.assign(this, { step, name, what, row });
    this.title = element("strong", { id: newId() });
    this.shape = element("code");
    this.line = element("small", { id: newId() });
    this.head = element("div", { class: "explorer-step-head" }, this.title, " ", this.shape, this.line);
  }

  show(number, picture) {
    setText(this.title, `${number} ${this.name}`);
    setText(this.shape, picture.shapes[this.step]);
    setText(this.line, fill(this.what, picture));
  }

  // The headers of its first row: the step's, which those who hear it know by its name alone, and
  // the row's.
  headers(rowspan, row = this.row) {
    const names = { "aria-labelledby": this.title.id, "aria-describedby": this.line.id };
    const head = element("th", { scope: "rowgroup", rowspan, ...names }, this.head);
    return [head, element("th", { scope: "row" }, row)];
  }
}

panels.pipeline = PipelinePanel;
