// One number of every token's vector, and the way of a chosen vector through the layers.  What it
// tells: both, in a sentence each.
class EmbeddingPanel {
  constructor(root, legend, onView, ask) {
    this.legend = legend;
    this.onView = onView;
    this.other = 0;
    this.controls = element("div", { class: "explorer-menus" });
    if (ask) this.buildSecond(ask);
    this.menus = element("div", { class: "explorer-menus" });
    this.caption = element("p", { class: "explorer-sentence" });
    this.strips = ["token", "other"].map(
      (name) => new TokenStrip((index) => this.choose(name, index), () => this.read()),
    );
    const hint = element("p", { class: "explorer-hint" }, legend.hint);
    this.reading = element("p", { class: "explorer-reading", "aria-live": "polite" });
    this.journey = element("p", { class: "explorer-sentence" });
    this.title = element("caption", { id: newId() });
    this.columns = element("tr", {}, element("td"));
    this.way = element("tbody");
    const way = element("table", { class: "explorer-way" }, this.title, element("thead", {}, this.columns), this.way);
    const cosine = element("p", { class: "explorer-hint" }, legend.cosine);
    this.told = [this.caption, this.journey];
    const frames = this.strips.map((strip) => strip.frame);
    // Scrolled by keyboard where the screen is small.
    const region = { class: "explorer-frame", tabindex: 0, role: "region", "aria-labelledby": this.title.id };
    const frame = focusable("div", region, way);
    root.replaceChildren(
      this.controls, this.menus, this.caption, ...frames, hint, this.reading, this.journey, frame, cosine,
    );
  }

  buildSecond(ask) {
    this.second = focusable("input", { type: "text", autocomplete: "off", spellcheck: "false" });
    this.second.addEventListener("input", () => ask((options) => ({ ...options, second: this.second.value })));
    this.controls.append(field(this.legend.second, this.second));
  }

  // What has been asked for, here or in another view.
  set({ second }) {
    if (document.activeElement !== this.second) this.second.value = second;
  }

  show(picture, view) {
    const before = this.picture;
    const { layers, size } = picture;
    const focused = this.strips.findIndex((strip) => strip.frame.contains(document.activeElement));
    this.numbers = halves(picture.vectors);
    this.picture = picture;
    if (before?.layers !== layers || before?.size !== size) this.buildMenus(layers, size);
    this.layer = Math.min(Math.max(view.layer, 0), layers);
    this.dimension = Math.min(Math.max(view.dimension, 1), size);
    this.follow(view);
    this.strips.forEach((strip, place) => strip.show(picture, place));
    this.paint();
    if (focused >= 0) this.strips[focused in picture.texts ? focused : 0].grid.focus();
    if (this.token !== view.token || this.other !== view.other) this.changed();
  }

  // Typing moves tokens, and lets them come and go: what was chosen is a word, wherever it is.  In
  // the second sentence it is the word chosen in the first, unless another was chosen there.
  follow(view) {
    const { tokens, added } = this.picture;
    const find = (place, word, before) => {
      const names = tokens[place];
      if (names[before] === word) return before;
      if (names.includes(word)) return names.indexOf(word);
      const own = names.filter((_, index) => !added[place][index]);
      const longest = (own.length ? own : names).reduce((one, two) => (two.length > one.length ? two : one));
      return names.indexOf(longest);
    };
    this.words ??= [tokens[0][view.token]];
    this.token = find(0, this.words[0], view.token);
    if (tokens.length > 1) this.other = find(1, this.words[1] ?? tokens[0][this.token], view.other);
  }

  buildMenus(layers, size) {
    const names = Array.from({ length: layers + 1 }, (_, layer) => [
      layer,
      layer ? `${layer} of ${layers}` : `0 (${this.legend.layers[0]})`,
    ]);
    this.layerMenu = menu(names, () => {
      this.layer = Number(this.layerMenu.value);
      this.paint();
      this.changed();
    });
    this.number = focusable("input", { type: "number", min: 1, max: size, step: 1 });
    this.number.addEventListener("input", () => {
      if (!this.number.value || !this.number.checkValidity()) return;
      this.dimension = Number(this.number.value);
      this.paint();
      this.changed();
    });
    this.number.addEventListener("change", () => (this.number.value = this.dimension));
    const number = field("Dimension", this.number);
    number.append(` of ${size}`);
    this.menus.replaceChildren(number, field("Layer", this.layerMenu));
  }

  // The vector of a token of the first or the second sentence.
  vector(place, layer, token) {
    const { tokens, layers, size } = this.picture;
    const start = place * (layers + 1) * tokens[0].length + layer * tokens[place].length + token;
    return this.numbers.subarray(start * size, (start + 1) * size);
  }

  // The chosen number of every token of a sentence.
  values(place) {
    return this.picture.tokens[place].map((_, token) => this.vector(place, this.layer, token)[this.dimension - 1]);
  }

  paint() {
    this.layerMenu.value = this.layer;
    if (document.activeElement !== this.number) this.number.value = this.dimension;
    const all = this.picture.tokens.map((_, place) => this.values(place));
    const range = [Math.min(0, ...all.flat()), Math.max(0, ...all.flat())];
    const name = fill(this.legend.row, { dimension: this.dimension });
    all.forEach((values, place) => this.strips[place].paint(name, values, range, place ? this.other : this.token));
    this.paintWay();
    this.describe(all[0]);
    this.read();
  }

  paintWay() {
    const { tokens, layers } = this.picture;
    const pair = tokens.length > 1;
    const start = this.vector(0, 0, this.token);
    this.steps = Array.from({ length: layers + 1 }, (_, layer) => {
      const vector = this.vector(0, layer, this.token);
      const others = pair ? [cosine(vector, this.vector(1, layer, this.other))] : [];
      return [Math.sqrt(dot(vector, vector)), cosine(vector, start), ...others];
    });
    const words = { token: tokens[0][this.token], other: tokens[1]?.[this.other] };
    setText(this.title, fill(this.legend.way, words));
    const columns = this.legend.columns.slice(0, pair ? 3 : 2).map((column) => fill(column, words));
    fit(this.columns, columns.length + 1, () => element("th", { scope: "col" }));
    columns.forEach((column, place) => setText(this.columns.children[place + 1], column));
    fit(this.way, layers + 1, () => element("tr", {}, element("th", { scope: "row" })));
    this.steps.forEach((step, layer) => {
      const line = this.way.children[layer];
      setText(line.firstChild, fill(this.legend.layers[Math.min(layer, 1)], { layer }));
      line.classList.toggle("explorer-chosen", layer === this.layer);
      fit(line, step.length + 1, () => {
        const bar = element("span", { class: "explorer-bar", "aria-hidden": "true" });
        return element("td", {}, bar, element("span"));
      });
      step.forEach((value, place) => {
        const [bar, number] = line.children[place + 1].children;
        bar.style.width = place ? `calc(${Math.max(value, 0)} * var(--explorer-bar, 100px))` : 0;
        setText(number, place ? decimals(value) : value.toFixed(1));
      });
    });
  }

  // Both pictures in words.
  describe(values) {
    const { tokens, size, layers } = this.picture;
    const lowest = Math.min(...values);
    const highest = Math.max(...values);
    const [first, last] = [this.steps[0], this.steps[layers]];
    const words = {
      dimension: this.dimension,
      size,
      place: this.place(),
      lowest: tokens[0][values.indexOf(lowest)],
      low: decimals(lowest),
      highest: tokens[0][values.indexOf(highest)],
      high: decimals(highest),
      token: tokens[0][this.token],
      other: tokens[1]?.[this.other],
      layer: layers,
      cosine: decimals(last[1]),
      first: decimals(first.at(-1)),
      last: decimals(last.at(-1)),
    };
    setText(this.caption, fill(this.legend.plot, words));
    const way = [this.legend.journey, ...(tokens.length > 1 ? [this.legend.pair] : [])];
    setText(this.journey, way.map((template) => fill(template, words)).join(" "));
  }

  place() {
    return fill(this.legend.places[Math.min(this.layer, 1)], { layer: this.layer });
  }

  choose(name, index) {
    if (this[name] === index) return;
    this[name] = index;
    const [tokens, others] = this.picture.tokens;
    this.words = name === "token" ? [tokens[index]] : [tokens[this.token], others[index]];
    if (name === "token" && others?.includes(tokens[index])) this.other = others.indexOf(tokens[index]);
    this.paint();
    this.changed();
  }

  changed() {
    const { layer, dimension, token, other } = this;
    this.onView({ layer, dimension, token, other });
  }

  // One number in words.
  read() {
    const grids = this.strips.map((strip) => strip.grid);
    const place = grids.indexOf(grids.find((grid) => grid.pointed) ?? grids.find((grid) => grid.at()));
    if (!this.picture || place < 0) return setText(this.reading, "");
    const token = grids[place].at()[1];
    const value = decimals(this.values(place)[token]);
    const words = { dimension: this.dimension, token: this.picture.tokens[place][token], place: this.place(), value };
    setText(this.reading, fill(this.legend.reading, words));
  }
}

// A sentence: its tokens, and below each a bar up or down from zero.
class TokenStrip {
  constructor(onChoose, onMove) {
    this.caption = element("span", { dir: "auto" });
    this.grid = new Grid(onMove);
    this.grid.table.classList.add("explorer-strip");
    this.grid.table.prepend(element("caption", {}, this.caption));
    this.frame = element("div", { class: "explorer-frame" }, this.grid.table);
    this.grid.header.append(element("td"));
    this.grid.table.addEventListener("focusin", (event) => event.target.at && onChoose(event.target.at[1]));
    this.grid.header.addEventListener("click", (event) => {
      const column = [...this.grid.header.children].indexOf(event.target.closest("th"));
      if (column > 0) this.grid.rows[0][column - 1].focus();
    });
  }

  show({ texts, tokens, added }, place) {
    this.frame.hidden = !(place in texts);
    if (this.frame.hidden) return;
    setText(this.caption, `“${texts[place]}”`);
    fit(this.grid.header, tokens[place].length + 1, () => element("th", { scope: "col" }, chip()));
    tokens[place].forEach((token, column) =>
      paintChip(this.grid.header.children[column + 1].firstChild, token, added[place][column]),
    );
    this.grid.fit(1, tokens[place].length, () => element("tr", {}, element("th", { scope: "row" })));
  }

  paint(name, values, [low, high], chosen) {
    const height = (value) => `${(100 * value) / (high - low || 1)}%`;
    this.grid.table.style.setProperty("--explorer-zero", height(-low));
    setText(this.grid.body.firstChild.firstChild, name);
    this.grid.rows[0].forEach((cell, column) => {
      if (!cell.firstChild) {
        const plot = element("span", { class: "explorer-plot", "aria-hidden": "true" }, element("span"));
        cell.append(plot, element("span"));
      }
      const bar = cell.firstChild.firstChild.style;
      bar.height = height(Math.abs(values[column]));
      bar.bottom = height(Math.min(values[column], 0) - low);
      setText(cell.lastChild, decimals(values[column]));
      cell.setAttribute("aria-selected", column === chosen);
      this.grid.header.children[column + 1].classList.toggle("explorer-chosen", column === chosen);
    });
    this.grid.enter([0, chosen]);
  }
}

// Numbers of half precision from their bytes, the lower one first.
function halves(bytes) {
  const numbers = new Float32Array(bytes.length / 2);
  for (let i = 0; i < numbers.length; i++) {
    const high = bytes[2 * i + 1];
    const exponent = (high >> 2) & 31;
    const fraction = (((high & 3) << 8) | bytes[2 * i]) / 1024;
    const size = exponent ? 2 ** (exponent - 15) * (1 + fraction) : 2 ** -14 * fraction;
    numbers[i] = high & 128 ? -size : size;
  }
  return numbers;
}

const dot = (one, other) => one.reduce((sum, value, place) => sum + value * other[place], 0);
const cosine = (one, other) => dot(one, other) / (Math.sqrt(dot(one, one) * dot(other, other)) || 1);
const decimals = (value) => value.toFixed(2).replace("-0.00", "0.00");

panels.embedding = EmbeddingPanel;
