// The browser's half of the explorers: a sentence box (live only) over a panel that draws.
// One panel, from a file of its own, follows these parts; together they are the module that serves
// both the live widget and the static copy in a saved notebook.
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

// A table that is walked with the arrow keys.  Exactly one of its cells is in the tab order, and
// `onMove` hears whenever another one is pointed at or has the keyboard in it.
class Grid {
  constructor(onMove) {
    this.onMove = onMove;
    this.cell = [0, 0]; // where the keyboard is
    this.pointed = null; // where the mouse is
    this.rows = [];
    this.header = element("tr");
    this.body = element("tbody");
    this.table = element("table", { role: "grid" }, element("thead", {}, this.header), this.body);
    const at = (event) => event.target.closest("td")?.at;
    this.table.addEventListener("mouseover", (event) => this.point(at(event)));
    this.table.addEventListener("mouseleave", () => this.point(null));
    this.table.addEventListener("focusin", (event) => at(event) && this.enter(at(event)));
    this.table.addEventListener("focusout", () => this.onMove());
    this.table.addEventListener("keydown", (event) => this.walk(event));
  }

  // Cells that stay are neither rebuilt nor moved.  `makeRow` gives a row with nothing but its
  // headers.
  fit(height, width, makeRow) {
    this.pointed = null; // first: a cell that goes takes the focus with it, and that is heard
    fit(this.body, height, makeRow);
    this.rows = [...this.body.children].map((line, row) => {
      const headers = line.querySelectorAll("th").length;
      fit(line, headers + width, (column) =>
        Object.assign(focusable("td", { tabindex: -1 }), { at: [row, column - headers] }),
      );
      return [...line.children].slice(headers);
    });
    if (height) this.enter([Math.min(this.cell[0], height - 1), Math.min(this.cell[1], width - 1)]);
  }

  enter([row, column]) {
    const before = this.rows[this.cell[0]]?.[this.cell[1]];
    if (before) before.tabIndex = -1;
    this.cell = [row, column];
    this.rows[row][column].tabIndex = 0;
    this.onMove();
  }

  point(at) {
    this.pointed = at;
    this.onMove();
  }

  // The cell pointed at, or else the one with the keyboard in it.
  at() {
    return this.pointed ?? (this.table.contains(document.activeElement) ? this.cell : null);
  }

  focus() {
    this.rows[this.cell[0]]?.[this.cell[1]].focus();
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
}

// A token: dashed where the tokenizer added it, open to the left where it continues a word.
const chip = () => element("span", { class: "explorer-chip", dir: "auto" });

function paintChip(node, token, added) {
  setText(node, token);
  node.classList.toggle("explorer-added", added);
  node.classList.toggle("explorer-joined", token.startsWith("##"));
}

// Give a cell the text of its number and the colour of its level, 0 to 255.
function shade(cell, level, text, { palette, white_from }) {
  if (cell.level !== level) {
    cell.level = level;
    cell.style.backgroundColor = palette[level];
    cell.style.color = level >= white_from ? "#ffffff" : "#000000";
  }
  setText(cell, text);
}

// Outcomes and their shares, each with a bar.  Rows are [name, share, mark, language].
class Bars {
  constructor(outcome) {
    this.title = element("caption");
    this.body = element("tbody");
    const header = [outcome, "percent"].map((name) => element("th", { scope: "col" }, name));
    const names = element("thead", {}, element("tr", {}, ...header, element("td")));
    this.table = element("table", { class: "explorer-bars" }, this.title, names, this.body);
  }

  show(title, rows) {
    setText(this.title, title);
    fit(this.body, rows.length, () => {
      const bar = element("span", { class: "explorer-bar", "aria-hidden": "true" });
      const cell = element("td", {}, bar, element("span"));
      return element("tr", {}, element("th", { scope: "row", dir: "auto" }), cell, element("td"));
    });
    rows.forEach(([word, share, mark, language], place) => {
      const line = this.body.children[place];
      const [name, { children: [bar, number] }, remark] = line.children;
      setText(name, word);
      speak(name, language);
      bar.style.width = `calc(${share} * var(--explorer-bar, 100px))`;
      setText(number, tenths(share));
      setText(remark, mark ? `← ${mark}` : "");
      line.classList.toggle("explorer-chosen", Boolean(mark));
    });
  }
}

const percent = (level) => Math.round((level * 100) / 255);
const whole = (share, little = "less than 1") => Math.floor(share * 100 + 0.5) || little;
const tenths = (share) => {
  const tenth = Math.floor(share * 1000 + 0.5);
  return tenth ? (tenth / 10).toFixed(1) : "<0.1";
};

const panels = {}; // by the kind of picture that they draw

// A picture whose large arrays are bytes to read.
function unpacked(picture) {
  const bytes = ({ buffer, byteOffset, byteLength }) => new Uint8Array(buffer, byteOffset, byteLength);
  return Object.fromEntries(
    Object.entries(picture).map(([name, value]) => [name, ArrayBuffer.isView(value) ? bytes(value) : value]),
  );
}

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
    if ("text" in picture && picture !== painted) {
      panel.show(unpacked(picture), view);
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
