// Only in the page that `--watch` serves: when there is a newer one it is loaded, and stays where the reader is.
(() => {
  const root = document.documentElement, key = "watched";
  const folds = () => [...document.querySelectorAll("details")];
  const kept = JSON.parse(sessionStorage.getItem(key) ?? "null");
  history.scrollRestoration = "manual";
  if (kept) folds().forEach((fold) => { fold.open = kept.open.includes(fold.parentElement.id); });
  const back = () => { if (kept) scrollTo({top: kept.top, behavior: "instant"}); };
  const drawn = () => root.dataset.drawn || !document.getElementById("charts");
  back();
  if (!drawn()) new MutationObserver((_, observer) => { if (drawn()) { observer.disconnect(); back(); } }).observe(root, {attributes: true});
  setInterval(async () => {
    const answer = await fetch("version").catch(() => null);
    if (!answer?.ok || await answer.text() === root.dataset.version) return;
    const open = folds().filter((fold) => fold.open).map((fold) => fold.parentElement.id);
    sessionStorage.setItem(key, JSON.stringify({top: scrollY, open}));
    location.reload();
  }, 2000);
})();
