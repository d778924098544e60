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
    this.bars = new Bars("word");
    const attributes = { id: newId(), class: "explorer-rivals", role: "tabpanel" };
    this.rivals = element("div", attributes, this.bars.table);
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
    const mark = (place) => place === chosen && this.legend.marks[manner];
    const rows = words.map((word, place) => [word, shares[place], mark(place), language]);
    if (others) rows.push([fill(this.legend.others, { count: others.toLocaleString("en") }), rest]);
    this.bars.show(fill(this.legend.rivals, { number: this.step + 1 }), rows);
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

panels.output = OutputPanel;
