const root = document.documentElement;

// Dark or light as the machine has it, until someone chooses.
function changeTheme() {
  const machines = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  const scheme = root.style.colorScheme || machines;
  root.style.colorScheme = scheme === "dark" ? "light" : "dark";
}

// As large as its slide has room for.
function enlarge(explorer) {
  const room = explorer.parentElement;
  const fits = () =>
    [room, ...explorer.querySelectorAll(".explorer-frame")].every(
      (part) => part.scrollWidth <= part.clientWidth && part.scrollHeight <= part.clientHeight,
    );
  for (let zoom = 1.8; zoom >= 0.8; zoom -= 0.05) {
    explorer.style.zoom = zoom;
    if (fits()) return;
  }
}

// Only what is on show can be reached by keys.
function reach() {
  const alone = Reveal.isOverview() ? null : Reveal.getCurrentSlide();
  for (const slide of Reveal.getSlides()) slide.inert = alone !== null && slide !== alone;
}

// On paper every slide is on show, to a screen reader, too.
function unhide() {
  for (const slide of Reveal.getSlides()) {
    slide.inert = slide.hidden = false;
    slide.ariaHidden = null;
  }
}

document.getElementById("theme").addEventListener("click", changeTheme);
for (const change of ["ready", "slidechanged", "overviewshown", "overviewhidden"])
  Reveal.on(change, reach);
Reveal.on("pdf-ready", unhide);
Reveal.initialize({
  width: 1280,
  height: 720,
  margin: 0,
  center: false,
  display: "flex",
  transition: "none",
  hash: true,
  slideNumber: "c/t",
  defaultTiming: 120, // seconds; each slide has its own, for the speaker's clock
  pdfSeparateFragments: false,
  pdfMaxPagesPerSlide: 1,
  plugins: [RevealNotes],
}).then(() => {
  Reveal.addKeyBinding({ keyCode: 68, key: "D", description: "Dark or light" }, changeTheme);
  // A copy comes alive, or shows another layer: its size changes.
  const watch = new ResizeObserver((changes) =>
    requestAnimationFrame(() => {
      for (const { target } of changes)
        if (target.offsetParent) enlarge(target.closest(".explorer-copy"));
    }),
  );
  for (const panel of document.querySelectorAll(".explorer-copy > .explorer-panel"))
    watch.observe(panel);
});
