// The browser's half of the explorers: a sentence box (live only) over a panel that draws.
// The same module serves the live widget and the static copy in a saved notebook.
// Everything that came from a sentence goes in through textContent, never as markup.

const SETTLED = 600; // ms without a key: then the static copy is brought up to date
const PATIENCE = 4000; // ms without an answer: then say so
const HESITATION = 500; // ms without a key: then an error is no longer about half a word
const PACE = 70; // ms from one written word to the next,
const WRITING = 700; // ms for all of them at most

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

const fill = (template, words) => template.replace(/\{(\w+)\}/g, (_, name) => words[name]);

// What language a text is in, if not the page's.
function speak(node, language) {
  if (language) node.lang = language;
  else node.removeAttribute("lang");
}

const newId = () => `explorer-part-${Math.random().toString(36).slice(2)}`;

// Add or drop children at the end until there are that many; what stays is not rebuilt.
function fit(parent, length, make) {
  while (parent.children.length > length) parent.lastChild.remove();
  while (parent.children.length < length) parent.append(make(parent.children.length));
}

// A control and its label, tied together: a label around a control would be named after its value.
function field(name, control) {
  control.id = newId();
  return element("span", { class: "explorer-field" }, element("label", { for: control.id }, name), control);
}

function menu(options, onChange) {
  const select = focusable("select", {}, ...options.map(([value, text]) => element("option", { value }, text)));
  select.addEventListener("change", onChange);
  return select;
}

// Layers and heads over a grid: rows look, columns are looked at.  What it tells: its caption.
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

  // Cells that stay are neither rebuilt nor moved.
  fitGrid(height, width) {
    const { queries, tokens, language } = this.picture;
    const header = (scope) => element("th", { scope }, element("span", { dir: "auto" }));
    fit(this.head_row, width + 1, () => header("col"));
    fit(this.body, height, () => element("tr", {}, header("row")));
    this.rows = [...this.body.children].map((line, row) => {
      fit(line, width + 1, (column) =>
        Object.assign(focusable("td", { tabindex: -1 }), { at: [row, column - 1] }),
      );
      const [name, ...cells] = line.children;
      setText(name.firstChild, queries[row]);
      speak(name, language);
      return cells;
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
    setText(this.reading, fill(this.legend.reading, words));
  }

  // Set one row apart from the others.
  mark(row) {
    [...(this.large ? [] : this.body.children)].forEach((line, index) => {
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
const whole = (share, little = "less than 1") => Math.floor(share * 100 + 0.5) || little;
const tenths = (share) => {
  const tenth = Math.floor(share * 1000 + 0.5);
  return tenth ? (tenth / 10).toFixed(1) : "<0.1";
};

// A text as it was written, word by word; for the chosen word its rivals, and for all of them where
// the model looked.  What it tells: the text, and the step.
class OutputPanel {
  constructor(root, legend, onView, ask) {
    this.legend = legend;
    this.onView = onView;
    this.step = 0;
    this.controls = element("div", { class: "explorer-menus" });
    if (ask) this.buildControls(ask);
    this.explanation = element("p", { class: "explorer-hint" });
    this.written = element("p", { class: "explorer-written", dir: "auto" });
    this.tabs = element("div", { class: "explorer-steps", role: "tablist", "aria-label": "The words written, step by step" });
    this.tabs.addEventListener("click", (event) => this.choose(event.target.closest("button")?.step));
    this.tabs.addEventListener("focusin", (event) => this.choose(event.target.step));
    this.tabs.addEventListener("keydown", (event) => this.walk(event));
    this.caption = element("p", { class: "explorer-step" });
    this.title = element("caption");
    this.bars = element("tbody");
    const header = ["word", "percent"].map((name) => element("th", { scope: "col" }, name));
    const table = element(
      "table",
      { class: "explorer-bars" },
      this.title,
      element("thead", {}, element("tr", {}, ...header, element("td"))),
      this.bars,
    );
    this.rivals = element("div", { id: newId(), class: "explorer-rivals", role: "tabpanel" }, table);
    const grid = element("div", { class: "explorer-grid" });
    this.told = [this.written, this.caption];
    root.replaceChildren(
      this.controls,
      this.explanation,
      this.written,
      this.tabs,
      this.caption,
      element("div", { class: "explorer-columns" }, this.rivals, grid),
    );
    this.attention = new AttentionPanel(grid, legend, () => this.changed());
    // Who walks into a row of the grid wants to see its step.
    this.attention.frame.addEventListener("focusin", (event) => this.choose(event.target.at?.[0]));
  }

  buildControls(ask) {
    this.temperature = focusable("input", { type: "range", min: 0, max: 2, step: 0.1 });
    this.degrees = element("span", { class: "explorer-degrees", "aria-hidden": "true" });
    this.again = focusable("button", { type: "button" }, "Draw again");
    this.temperature.addEventListener("input", () => {
      const temperature = Number(this.temperature.value);
      ask((options) => ({ ...options, temperature }));
    });
    this.again.addEventListener("click", () => ask((options) => ({ ...options, seed: options.seed + 1 })));
    this.controls.append(field("Temperature", this.temperature), this.degrees, this.again);
  }

  // What has been asked for, here or in another view.
  set({ temperature }) {
    this.temperature.value = temperature;
    setText(this.degrees, temperature.toFixed(1));
    this.again.disabled = temperature === 0;
  }

  show(picture, view) {
    const before = this.picture?.queries;
    const { queries, language, written, explanation } = picture;
    const focused = this.tabs.contains(document.activeElement);
    this.picture = picture;
    this.step = Math.min(Math.max(view.step, 1), queries.length) - 1;
    setText(this.written, written);
    setText(this.explanation, explanation);
    fit(this.tabs, queries.length, (step) => {
      const attributes = { type: "button", role: "tab", id: newId(), "aria-controls": this.rivals.id };
      const parts = [element("span", { dir: "auto" }), element("small")];
      return Object.assign(focusable("button", attributes, ...parts), { step });
    });
    [...this.tabs.children].forEach((tab, step) => {
      const { shares, chosen } = picture.steps[step];
      setText(tab.firstChild, queries[step]);
      setText(tab.lastChild, `${whole(shares[chosen], "<1")}%`);
      speak(tab.firstChild, language);
    });
    speak(this.written, language);
    this.attention.show(picture, view);
    this.paint();
    if (focused) this.tabs.children[this.step].focus();
    if (before) this.write(queries.findIndex((word, step) => word !== before[step]));
  }

  // Let the words appear one by one, from the first new one on.
  write(first) {
    if (first < 0 || matchMedia("(prefers-reduced-motion: reduce)").matches) return;
    const fresh = [...this.tabs.children].slice(first);
    const pace = Math.min(PACE, WRITING / fresh.length);
    fresh.forEach((tab, index) =>
      tab.animate({ opacity: [0, 1] }, { duration: 150, delay: index * pace, fill: "backwards" }),
    );
  }

  paint() {
    [...this.tabs.children].forEach((tab, step) => {
      tab.setAttribute("aria-selected", step === this.step);
      tab.tabIndex = step === this.step ? 0 : -1;
    });
    this.rivals.setAttribute("aria-labelledby", this.tabs.children[this.step].id);
    this.attention.mark(this.step);
    this.paintBars();
    this.describe();
  }

  paintBars() {
    const { words, shares, chosen, others, rest } = this.picture.steps[this.step];
    const { manner, language } = this.picture;
    const rows = words.map((word, place) => [word, shares[place], place === chosen && this.legend.marks[manner]]);
    if (others) rows.push([fill(this.legend.others, { count: others.toLocaleString("en") }), rest, false]);
    setText(this.title, fill(this.legend.rivals, { number: this.step + 1 }));
    fit(this.bars, rows.length, () => {
      const bar = element("span", { class: "explorer-bar", "aria-hidden": "true" });
      const cell = element("td", {}, bar, element("span"));
      return element("tr", {}, element("th", { scope: "row", dir: "auto" }), cell, element("td"));
    });
    rows.forEach(([word, share, mark], place) => {
      const line = this.bars.children[place];
      const [name, { children: [bar, number] }, remark] = line.children;
      setText(name, word);
      speak(name, place < words.length && language);
      bar.style.width = `${share * 100}px`;
      setText(number, tenths(share));
      setText(remark, mark ? `← ${mark}` : "");
      line.classList.toggle("explorer-chosen", Boolean(mark));
    });
  }

  // The step in words.
  describe() {
    const { queries, tokens, steps, manner } = this.picture;
    const plane = this.attention.plane();
    const row = plane.subarray(this.step * tokens.length, (this.step + 1) * tokens.length);
    const most = Math.max(...row);
    const { shares, chosen } = steps[this.step];
    const words = {
      number: this.step + 1,
      word: queries[this.step],
      share: whole(shares[chosen]),
      token: tokens[row.indexOf(most)],
      percent: percent(most),
    };
    setText(this.caption, fill(this.legend[manner], words));
  }

  choose(step) {
    if (step === undefined || step === this.step) return;
    this.step = step;
    this.paint();
    this.changed();
  }

  changed() {
    this.describe();
    this.onView({ step: this.step + 1, layer: this.attention.layer, head: this.attention.head });
  }

  walk(event) {
    const last = this.tabs.children.length - 1;
    const target = {
      ArrowLeft: Math.max(this.step - 1, 0),
      ArrowRight: Math.min(this.step + 1, last),
      Home: 0,
      End: last,
    }[event.key];
    if (target === undefined) return;
    event.preventDefault();
    this.tabs.children[target].focus();
  }
}

const panels = { attention: AttentionPanel, output: OutputPanel };

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
      fit(news, panel.told.length, () => element("span"));
      panel.told.forEach((part, index) => setText(news.children[index], part.textContent));
      model.send({ view });
    }, SETTLED);
  };
  const ask = (choose = (options) => options) => {
    const { sequence, options } = model.get("request");
    model.set("request", { text: input.value, options: choose(options), sequence: sequence + 1 });
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
  };
  const onView = (chosen) => {
    view = chosen;
    settle();
  };
  const panel = new panels[model.get("kind")](body, model.get("legend"), onView, ask);

  // Another view of the same explorer may ask, too.
  const requested = () => {
    const { text, options, sequence } = model.get("request");
    root.dataset.asked = sequence;
    if (document.activeElement !== input) input.value = text;
    panel.set?.(options);
  };
  model.on("change:request", requested);
  requested();
  let typed = -Infinity; // when
  input.addEventListener("input", () => {
    typed = performance.now();
    ask();
  });

  let painted; // the picture on show
  let doubt;
  const answer = () => {
    clearTimeout(doubt);
    const status = model.get("status");
    const wait = typed + HESITATION - performance.now();
    if (status.error && wait > 0) {
      doubt = setTimeout(answer, wait);
      return;
    }
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
    clearTimeout(doubt);
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
  const panel = new panels[content.kind](body, content.legend, () => {});
  panel.show(picture, content.view);
  panel.told.forEach((part) => part.setAttribute("aria-live", "polite"));
  root.addEventListener("keydown", (event) => event.stopPropagation());
}

export default { render };
