const root = document.documentElement;
const explorers = document.querySelectorAll(".explorer-copy");

// Dark or light as the machine has it, until someone chooses.
function changeTheme() {
  const dark = root.style.colorScheme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  root.style.colorScheme = dark === "dark" ? "light" : "dark";
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

// Only the slide on show can be reached by keys.
function reach() {
  const shown = Reveal.getCurrentSlide();
  Reveal.getSlides().forEach((slide) => slide.toggleAttribute("inert", slide !== shown && !Reveal.isOverview()));
}

document.getElementById("theme").addEventListener("click", changeTheme);
Reveal.on("ready", reach);
Reveal.on("slidechanged", reach);
Reveal.initialize({
  width: 1280,
  height: 720,
  margin: 0,
  center: false,
  display: "flex",
  transition: "none",
  hash: true,
  slideNumber: "c/t",
  pdfSeparateFragments: false,
  pdfMaxPagesPerSlide: 1,
  plugins: [RevealNotes],
}).then(() => {
  Reveal.addKeyBinding({ keyCode: 68, key: "D", description: "Dark or light" }, changeTheme);
  // A copy comes alive, or shows another layer: its size changes.
  const watch = new ResizeObserver((changes) =>
    requestAnimationFrame(() => changes.forEach(({ target }) => target.offsetParent && enlarge(target.closest(".explorer-copy")))),
  );
  explorers.forEach((explorer) => watch.observe(explorer.querySelector(".explorer-panel")));
});
