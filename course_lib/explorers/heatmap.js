// Layers and heads over a grid: rows look, columns are looked at.  What it tells: its caption.
class AttentionPanel {
  constructor(root, legend, onView) {
    this.legend = legend;
    this.onView = onView;
    this.grid = new Grid(() => this.read());
    this.pointed = null; // where the mouse is on the canvas
    this.menus = element("div", { class: "explorer-menus" });
    this.caption = element("p", { class: "explorer-sentence" });
    this.hint = element("p", { class: "explorer-hint" });
    this.frame = element("div", { class: "explorer-frame" });
    this.reading = element("p", { class: "explorer-reading", "aria-live": "polite" });
    this.told = [this.caption];
    root.replaceChildren(this.menus, this.caption, this.frame, this.hint, this.reading);
  }

  show(picture, view) {
    const { layers, heads, queries, tokens } = picture;
    if (this.picture?.layers !== layers || this.picture?.heads !== heads) this.buildMenus(layers, heads);
    this.picture = picture;
    this.layer = Math.min(Math.max(view.layer, 1), layers);
    this.head = Math.min(Math.max(view.head, 0), heads);
    const large = Math.max(queries.length, tokens.length) > this.legend.table_tokens;
    const focused = this.frame.contains(document.activeElement);
    this.pointed = null;
    if (this.large !== large) {
      this.large = large;
      if (large) this.buildCanvas();
      else this.frame.replaceChildren(this.grid.table);
    }
    if (!large) this.fitGrid(queries.length, tokens.length);
    this.paint();
    // The focused cell may be gone; a focus that falls out of the explorer meets the page's keys.
    if (focused && large) this.headMenu.focus();
    else if (focused) this.grid.focus();
  }

  buildMenus(layers, heads) {
    const count = (length) => Array.from({ length }, (_, i) => [i + 1, `${i + 1} of ${length}`]);
    const choose = () => {
      this.layer = Number(this.layerMenu.value);
      this.head = Number(this.headMenu.value);
      this.paint();
      this.onView({ layer: this.layer, head: this.head });
    };
    this.layerMenu = menu(count(layers), choose);
    this.headMenu = menu([[0, `mean of ${heads}`], ...count(heads)], choose);
    this.menus.replaceChildren(
      ...(layers > 1 ? [field("Layer", this.layerMenu)] : []),
      ...(heads > 1 ? [field("Head", this.headMenu)] : []),
    );
  }

  plane() {
    const { queries, tokens, heads, weights } = this.picture;
    const size = queries.length * tokens.length;
    const start = ((this.layer - 1) * (heads + 1) + this.head) * size;
    return weights.subarray(start, start + size);
  }

  paint() {
    const { sentences } = this.picture;
    this.layerMenu.value = this.layer;
    this.headMenu.value = this.head;
    const sentence = sentences[this.layer - 1][this.head];
    setText(this.caption, sentence);
    setText(this.hint, this.legend.hint);
    const plane = this.plane();
    if (this.large) this.paintCanvas(plane, sentence);
    else this.paintGrid(plane, sentence);
    this.read();
  }

  paintGrid(plane, sentence) {
    const width = this.picture.tokens.length;
    this.grid.table.setAttribute("aria-label", sentence);
    this.grid.rows.forEach((cells, row) =>
      cells.forEach((cell, column) => {
        const level = plane[row * width + column];
        shade(cell, level, String(percent(level)), this.legend);
      }),
    );
  }

  // Cells that stay are neither rebuilt nor moved.
  fitGrid(height, width) {
    const { queries, tokens, language } = this.picture;
    const header = (scope) => element("th", { scope }, element("span", { dir: "auto" }));
    fit(this.grid.header, width + 1, (column) => (column ? header("col") : element("td")));
    this.grid.fit(height, width, () => element("tr", {}, header("row")));
    [...this.grid.body.children].forEach((line, row) => {
      setText(line.firstChild.firstChild, queries[row]);
      speak(line.firstChild, language);
    });
    tokens.forEach((token, column) => setText(this.grid.header.children[column + 1].firstChild, token));
  }

  // One cell in words.
  read() {
    const at = this.large ? this.pointed : this.grid.at();
    if (!at) return setText(this.reading, "");
    const { queries, tokens } = this.picture;
    const words = {
      query: queries[at[0]],
      token: tokens[at[1]],
      percent: percent(this.plane()[at[0] * tokens.length + at[1]]),
    };
    setText(this.reading, fill(this.legend.reading, words));
  }

  // Set one row apart from the others.
  mark(row) {
    [...(this.large ? [] : this.grid.body.children)].forEach((line, index) => {
      line.classList.toggle("explorer-chosen", index === row);
      if (index === row) line.firstChild.setAttribute("aria-current", "step");
      else line.firstChild.removeAttribute("aria-current");
    });
  }

  // Too many cells to read one by one: a picture of them all, and the strongest in a table.
  buildCanvas() {
    this.canvas = element("canvas", { role: "img" });
    this.strongest = element("tbody");
    const header = ["looks", "at", "percent"].map((name) => element("th", { scope: "col" }, name));
    const table = element(
      "table",
      { class: "explorer-strongest" },
      element("caption", {}, "The strongest links"),
      element("thead", {}, element("tr", {}, ...header)),
      this.strongest,
    );
    this.frame.replaceChildren(this.canvas, table);
    const point = (at) => {
      this.pointed = at;
      this.read();
    };
    this.canvas.addEventListener("mousemove", (event) => {
      const { queries, tokens } = this.picture;
      const box = this.canvas.getBoundingClientRect();
      const index = (offset, size, length) => Math.min(Math.floor((offset / size) * length), length - 1);
      point([
        index(Math.max(event.clientY - box.top, 0), box.height, queries.length),
        index(Math.max(event.clientX - box.left, 0), box.width, tokens.length),
      ]);
    });
    this.canvas.addEventListener("mouseleave", () => point(null));
  }

  paintCanvas(plane, sentence) {
    const { queries, tokens, strongest } = this.picture;
    this.canvas.width = tokens.length;
    this.canvas.height = queries.length;
    this.canvas.setAttribute("aria-label", sentence);
    const context = this.canvas.getContext("2d");
    const image = context.createImageData(tokens.length, queries.length);
    plane.forEach((level, index) => {
      const colour = parseInt(this.legend.palette[level].slice(1), 16);
      image.data.set([colour >> 16, (colour >> 8) & 255, colour & 255, 255], index * 4);
    });
    context.putImageData(image, 0, 0);
    this.strongest.replaceChildren(
      ...strongest[this.layer - 1][this.head].map(([row, column]) => {
        const words = [queries[row], tokens[column], percent(plane[row * tokens.length + column])];
        return element("tr", {}, ...words.map((word) => element("td", { dir: "auto" }, String(word))));
      }),
    );
  }
}

panels.attention = AttentionPanel;
