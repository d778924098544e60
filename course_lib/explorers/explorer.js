// The browser's half of the explorers: a sentence box (live only) over a panel that draws.
// The same module serves the live widget and the static copy in a saved notebook.
// Everything that came from a sentence goes in through textContent, never as markup.

const SETTLED = 600; // ms without a key: then the static copy is brought up to date
const PATIENCE = 4000; // ms without an answer: then say so

function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

// JupyterLab's command keys (d d deletes a cell) listen everywhere but here.
const focusable = (tag, attributes = {}, ...children) =>
  element(tag, { "data-lm-suppress-shortcuts": "true", ...attributes }, ...children);

function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

// A control and its label, tied together: a label around a control would be named after its value.
function field(name, control) {
  control.id = `explorer-field-${Math.random().toString(36).slice(2)}`;
  return element("span", { class: "explorer-field" }, element("label", { for: control.id }, name), control);
}

function menu(options, onChange) {
  const select = focusable("select", {}, ...options.map(([value, text]) => element("option", { value }, text)));
  select.addEventListener("change", onChange);
  return select;
}

// Layers and heads over a grid: rows look, columns are looked at.
class AttentionPanel {
  constructor(root, legend, onView) {
    this.legend = legend;
    this.onView = onView;
    this.cell = [0, 0]; // where the keyboard is
    this.pointed = null; // where the mouse is
    this.menus = element("div", { class: "explorer-menus" });
    this.caption = element("p", { class: "explorer-sentence" });
    this.hint = element("p", { class: "explorer-hint" });
    this.frame = element("div", { class: "explorer-frame" });
    this.reading = element("p", { class: "explorer-reading", "aria-live": "polite" });
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
      this.rows = [];
      if (large) this.buildCanvas();
      else this.buildGrid();
    }
    if (!large) this.fitGrid(queries.length, tokens.length);
    this.paint();
    // The focused cell may be gone; a focus that falls out of the explorer meets the page's keys.
    if (focused && large) this.headMenu.focus();
    else if (focused) this.rows[this.cell[0]][this.cell[1]].focus();
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
    const { palette, white_from } = this.legend;
    const width = this.picture.tokens.length;
    this.grid.setAttribute("aria-label", sentence);
    this.rows.forEach((cells, row) =>
      cells.forEach((cell, column) => {
        const level = plane[row * width + column];
        if (cell.level === level) return;
        cell.level = level;
        cell.style.backgroundColor = palette[level];
        cell.style.color = level >= white_from ? "#ffffff" : "#000000";
        cell.textContent = percent(level);
      }),
    );
  }

  buildGrid() {
    this.head_row = element("tr", {}, element("td"));
    this.body = element("tbody");
    this.grid = element("table", { role: "grid" }, element("thead", {}, this.head_row), this.body);
    this.frame.replaceChildren(this.grid);
    const at = (event) => event.target.closest("td")?.at;
    this.grid.addEventListener("mouseover", (event) => this.point(at(event)));
    this.grid.addEventListener("mouseleave", () => this.point(null));
    this.grid.addEventListener("focusin", (event) => at(event) && this.enter(at(event)));
    this.grid.addEventListener("focusout", () => this.read());
    this.grid.addEventListener("keydown", (event) => this.walk(event));
  }

  // Add or drop rows and columns at the end; what stays is neither rebuilt nor moved.
  fitGrid(height, width) {
    const { queries, tokens } = this.picture;
    const trim = (parent, length) => {
      while (parent.children.length > length) parent.lastChild.remove();
    };
    trim(this.head_row, width + 1);
    trim(this.body, height);
    this.rows.length = Math.min(this.rows.length, height);
    while (this.head_row.children.length <= width)
      this.head_row.append(element("th", { scope: "col" }, element("span", { dir: "auto" })));
    while (this.rows.length < height) {
      const row = element("tr", {}, element("th", { scope: "row" }, element("span", { dir: "auto" })));
      this.body.append(row);
      this.rows.push([]);
    }
    this.rows.forEach((cells, row) => {
      const line = this.body.children[row];
      trim(line, width + 1);
      cells.length = Math.min(cells.length, width);
      while (cells.length < width) {
        const cell = focusable("td", { tabindex: -1 });
        cell.at = [row, cells.length];
        cells.push(cell);
        line.append(cell);
      }
      setText(line.firstChild.firstChild, queries[row]);
    });
    tokens.forEach((token, column) => setText(this.head_row.children[column + 1].firstChild, token));
    this.enter([Math.min(this.cell[0], height - 1), Math.min(this.cell[1], width - 1)]);
  }

  // Exactly one cell is in the tab order.
  enter([row, column]) {
    const before = this.rows[this.cell[0]]?.[this.cell[1]];
    if (before) before.tabIndex = -1;
    this.cell = [row, column];
    this.rows[row][column].tabIndex = 0;
    this.read();
  }

  walk(event) {
    const [row, column] = this.cell;
    const last = [this.rows.length - 1, this.rows[0].length - 1];
    const target = {
      ArrowUp: [row - 1, column],
      ArrowDown: [row + 1, column],
      ArrowLeft: [row, column - 1],
      ArrowRight: [row, column + 1],
      Home: [event.ctrlKey ? 0 : row, 0],
      End: [event.ctrlKey ? last[0] : row, last[1]],
    }[event.key];
    if (!target) return;
    event.preventDefault();
    const within = (value, most) => Math.min(Math.max(value, 0), most);
    this.rows[within(target[0], last[0])][within(target[1], last[1])].focus();
  }

  point(at) {
    this.pointed = at;
    this.read();
  }

  // One cell in words: the one pointed at, or else the one with the keyboard in it.
  read() {
    const at = this.pointed ?? (this.frame.contains(document.activeElement) ? this.cell : null);
    if (!at) return setText(this.reading, "");
    const { queries, tokens } = this.picture;
    const words = {
      query: queries[at[0]],
      token: tokens[at[1]],
      percent: percent(this.plane()[at[0] * tokens.length + at[1]]),
    };
    setText(this.reading, this.legend.reading.replace(/\{(\w+)\}/g, (_, name) => words[name]));
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
    this.canvas.addEventListener("mousemove", (event) => {
      const { queries, tokens } = this.picture;
      const box = this.canvas.getBoundingClientRect();
      const index = (offset, size, length) => Math.min(Math.floor((offset / size) * length), length - 1);
      this.point([
        index(Math.max(event.clientY - box.top, 0), box.height, queries.length),
        index(Math.max(event.clientX - box.left, 0), box.width, tokens.length),
      ]);
    });
    this.canvas.addEventListener("mouseleave", () => this.point(null));
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

const percent = (level) => Math.round((level * 100) / 255);

const panels = { attention: AttentionPanel };

// The live widget.
function render({ model, el }) {
  const input = focusable("input", { type: "text", autocomplete: "off", spellcheck: "false" });
  const note = element("p", { class: "explorer-note", role: "status" });
  const error = element("p", { class: "explorer-error", role: "alert" });
  const body = element("div", { class: "explorer-panel" });
  const news = element("p", { class: "explorer-news", "aria-live": "polite" }); // for the ear only
  const root = element("div", { class: "explorer" }, field(model.get("label"), input), note, error, body, news);
  const hidden = element("style", {}, `#${model.get("copy_id")} { display: none; }`);
  document.head.append(hidden);
  el.append(root);

  let view = model.get("view");
  let settled, patience;
  // When nothing is under way any more, say what is on show, and bring the static copy up to date.
  const settle = () => {
    clearTimeout(settled);
    settled = setTimeout(() => {
      if (model.get("status").sequence < model.get("request").sequence) return;
      setText(news, panel.caption.textContent);
      model.send({ view });
    }, SETTLED);
  };
  const panel = new panels[model.get("kind")](body, model.get("legend"), (chosen) => {
    view = chosen;
    settle();
  });

  // Another view of the same explorer may ask, too.
  const requested = () => {
    const { text, sequence } = model.get("request");
    root.dataset.asked = sequence;
    if (document.activeElement !== input) input.value = text;
  };
  model.on("change:request", requested);
  requested();
  input.addEventListener("input", () => {
    model.set("request", { text: input.value, sequence: model.get("request").sequence + 1 });
    model.save_changes();
    clearTimeout(patience);
    patience = setTimeout(() => {
      root.classList.add("explorer-stale");
      setText(
        note,
        "No answer yet. The kernel is busy or was restarted. After a restart choose Run > " +
          "Run All Above Selected Cell, then run this cell again.",
      );
    }, PATIENCE);
  });

  let painted; // the picture on show
  const answer = () => {
    const status = model.get("status");
    if (status.sequence < Number(root.dataset.sequence ?? 0)) return; // overtaken by a newer one
    if (status.sequence >= model.get("request").sequence) {
      clearTimeout(patience);
      if (painted) settle();
    }
    const picture = model.get("picture");
    if (picture.weights && picture !== painted) {
      const { buffer, byteOffset, byteLength } = picture.weights;
      panel.show({ ...picture, weights: new Uint8Array(buffer, byteOffset, byteLength) }, view);
      painted = picture;
    }
    setText(note, status.note);
    setText(error, status.error);
    root.classList.toggle("explorer-stale", Boolean(status.error) || !input.value.trim());
    root.dataset.sequence = status.sequence;
  };
  model.on("change:status", answer);
  answer();

  // Keys pressed in here are for the explorer, not for the page or the slides around it.
  root.addEventListener("keydown", (event) => event.stopPropagation());

  return () => {
    clearTimeout(settled);
    clearTimeout(patience);
    model.off("change:request", requested);
    model.off("change:status", answer);
    hidden.remove();
  };
}

// The static copy: the same panel over the data that stands beside it.
async function revive(root) {
  const content = JSON.parse(root.querySelector("script[type='application/json']").textContent);
  const picture = { ...content.picture };
  for (const [name, value] of Object.entries(picture)) {
    if (!value?.deflate) continue;
    const packed = Uint8Array.from(atob(value.deflate), (character) => character.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
    picture[name] = new Uint8Array(await new Response(stream).arrayBuffer());
  }
  const body = root.querySelector(".explorer-panel");
  if (root.classList.contains("explorer")) return; // already alive
  root.classList.add("explorer");
  new panels[content.kind](body, content.legend, () => {}).show(picture, content.view);
  root.addEventListener("keydown", (event) => event.stopPropagation());
}

export default { render };
