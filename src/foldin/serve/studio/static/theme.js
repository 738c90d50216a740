// Light or dark before the first paint: as it was chosen here before, else as the system prefers.

{
  let chosen = null;
  try {
    chosen = localStorage.getItem("foldin-theme");
  } catch { /* a browser without storage follows the system */ }
  const dark = chosen === "dark" || (chosen !== "light" && matchMedia("(prefers-color-scheme: dark)").matches);
  document.documentElement.dataset.theme = dark ? "dark" : "light";
}
