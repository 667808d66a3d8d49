// Charts are drawn one after the other, the first at once; those in folded sections when they are opened.
const specs = JSON.parse(document.getElementById("charts").textContent);
const options = {renderer: "svg", actions: false, tooltip: {theme: matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light"}};
const drawn = new Set();
async function draw(canvas) {
  if (drawn.has(canvas)) return;
  drawn.add(canvas);
  await vegaEmbed(canvas, specs[canvas.dataset.chart], options);
}
const isFolded = (canvas) => canvas.closest("details:not([open])") !== null;
const canvases = () => [...document.querySelectorAll("[data-chart]")];
for (const fold of document.querySelectorAll("details"))
  fold.addEventListener("toggle", () => fold.querySelectorAll("[data-chart]").forEach(draw));
addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((fold) => { fold.open = true; }));
(async () => {
  for (const canvas of canvases().filter((each) => !isFolded(each))) {
    await draw(canvas);
    await new Promise((resolve) => setTimeout(resolve));
  }
  document.documentElement.dataset.drawn = "yes";
})();
