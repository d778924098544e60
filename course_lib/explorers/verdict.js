// A classifier's verdict, the words that moved it, and what the verdict is without one of them.
// What it tells: the verdict, the strongest words, and the verdict without the chosen one.
class VerdictPanel {
  constructor(root, legend, onView) {
    this.legend = legend;
    this.onView = onView;
    this.verdict = element("p", { class: "explorer-written", style: "font-weight: 600" });
    this.whole = new Bars("class");
    this.most = element("p", { class: "explorer-sentence" });
    this.tabs = element("div", { class: "explorer-steps", role: "tablist", "aria-label": legend.tabs });
    this.tabs.addEventListener("click", (event) => this.choose(event.target.closest("button")?.place));
    this.tabs.addEventListener("focusin", (event) => this.choose(event.target.place));
    this.tabs.addEventListener("keydown", (event) => this.walk(event));
    const hints = legend.hints.map((hint) => element("p", { class: "explorer-hint" }, hint));
    this.reading = element("p", { class: "explorer-step" });
    this.rest = element("p", { class: "explorer-typed", dir: "auto" });
    this.without = new Bars("class");
    const parts = [this.reading, this.rest, this.without.table];
    this.left = element("div", { id: newId(), role: "tabpanel" }, ...parts);
    this.told = [this.verdict, this.most, this.reading];
    root.style.overflowWrap = "break-word";
    root.replaceChildren(
      this.verdict, this.whole.table, this.most, this.tabs, this.left, ...hints, this.buildTable(),
    );
  }

  buildTable() {
    const header = this.legend.columns.map((name) => element("th", { scope: "col" }, name));
    this.lines = element("tbody");
    const head = element("thead", {}, element("tr", {}, ...header));
    const table = element("table", { class: "explorer-strongest", "aria-label": this.legend.tabs }, head, this.lines);
    return element("details", {}, focusable("summary", { tabindex: 0 }, this.legend.table), table);
  }

  show(picture, view) {
    const { words, numbers, colours, classes, verdicts } = picture;
    const focused = this.tabs.contains(document.activeElement);
    this.picture = picture;
    this.follow(view);
    setText(this.verdict, picture.verdict);
    setText(this.most, picture.most);
    this.paintBars(this.whole, this.legend.whole, classes.shares, classes.chosen);
    fit(this.tabs, words.length, (place) => {
      const attributes = { type: "button", role: "tab", id: newId(), "aria-controls": this.left.id };
      const tab = focusable("button", attributes, element("span", { dir: "auto" }), element("small"));
      // A long word is no wider than the page, and a chosen one no wider than before.
      Object.assign(tab.style, { maxWidth: "100%", overflowWrap: "anywhere", fontWeight: "inherit" });
      return Object.assign(tab, { place });
    });
    fit(this.lines, words.length, () => {
      const attributes = { scope: "row", dir: "auto", style: "white-space: normal; overflow-wrap: anywhere" };
      return element("tr", {}, element("th", attributes), element("td"), element("td"));
    });
    words.forEach((word, place) => {
      const tab = this.tabs.children[place];
      [tab.style.backgroundColor, tab.style.color] = colours[place];
      tab.style.borderStyle = numbers[place].startsWith("−") ? "dashed" : "solid";
      setText(tab.firstChild, word);
      setText(tab.lastChild, numbers[place]);
      const line = this.lines.children[place];
      [word, numbers[place], verdicts[place]].forEach((text, column) => setText(line.children[column], text));
    });
    this.paint();
    if (focused) this.tabs.children[this.place].focus();
  }

  // Typing moves words: what was chosen is a word, wherever it is.  Once it is gone, and before one
  // is chosen, it is the strongest.
  follow(view) {
    const { words, strongest } = this.picture;
    this.word ??= words[view.place];
    const place = words[view.place] === this.word ? view.place : words.indexOf(this.word);
    if (!(place in words)) this.word = undefined;
    this.place = this.word === undefined ? strongest : place;
    const chosen = this.word === undefined ? null : place;
    if (chosen !== view.place) this.onView({ place: chosen });
  }

  paint() {
    const { words, readings, without, chosen } = this.picture;
    [...this.tabs.children].forEach((tab, place) => {
      const selected = place === this.place;
      tab.setAttribute("aria-selected", selected);
      tab.tabIndex = selected ? 0 : -1;
      tab.style.boxShadow = selected ? "0 0 0 2px var(--explorer-accent)" : "";
    });
    this.left.setAttribute("aria-labelledby", this.tabs.children[this.place].id);
    setText(this.reading, readings[this.place]);
    setText(this.rest, `“${words.filter((_, place) => place !== this.place).join(" ")}”`);
    this.paintBars(this.without, this.legend.rest, without[this.place], chosen[this.place]);
  }

  paintBars(bars, title, shares, chosen) {
    const mark = (place) => place === chosen && this.legend.mark;
    bars.show(title, this.picture.classes.words.map((word, place) => [word, shares[place], mark(place)]));
  }

  choose(place) {
    if (place === undefined) return;
    this.word = this.picture.words[place];
    if (place === this.place) return;
    this.place = place;
    this.paint();
    this.onView({ place });
  }

  walk(event) {
    const last = this.tabs.children.length - 1;
    const target = {
      ArrowLeft: Math.max(this.place - 1, 0),
      ArrowRight: Math.min(this.place + 1, last),
      Home: 0,
      End: last,
    }[event.key];
    if (target === undefined) return;
    event.preventDefault();
    this.tabs.children[target].focus();
  }
}

panels.verdict = VerdictPanel;
