// The pages by their address, the model that is looked at, the key, light and dark.

import { get, useKey } from "./api.js";
import { el, failed, loading } from "./ui.js";
import { remember, state } from "./state.js";
import { userPage } from "./user.js";
import { modelPage } from "./model.js";
import { comparePage } from "./compare.js";
import { experimentsPage } from "./experiments.js";
import { mapPage } from "./map.js";
import { labPage } from "./lab.js";
import { learnPage } from "./learn.js";

const PAGES = { user: userPage, model: modelPage, compare: comparePage, experiments: experimentsPage, map: mapPage, lab: labPage, learn: learnPage };
const page = document.getElementById("page");
const choice = document.getElementById("model");
const theme = document.getElementById("theme");

function show() {
  const name = location.hash.startsWith("#/") ? location.hash.slice(2) || "user" : "user";
  for (const link of document.querySelectorAll("nav a")) {
    if (link.getAttribute("href") === `#/${name}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const heading = document.querySelector(`nav a[href="#/${CSS.escape(name)}"]`);
  document.title = heading ? `${heading.textContent} – foldin studio` : "foldin studio";
  page.replaceChildren();
  (PAGES[name] || userPage)(page);
}

async function start() {
  page.replaceChildren(loading("Reading the models in service"));
  try {
    ({ models: state.models, deployments: state.deployments } = await get("/v1/models"));
  } catch (error) {
    page.replaceChildren(failed(error));
    return;
  }
  const standard = state.models.find((one) => one.default) || state.models[0] || null;
  if (!state.models.some((one) => one.name === state.model)) state.model = standard ? standard.name : null;
  choice.replaceChildren(...state.models.map((one) => el("option", { value: one.name, selected: one.name === state.model }, one.name)));
  document.getElementById("access").hidden = true;
  show();
}

function dress(name) {
  document.documentElement.dataset.theme = name;
  theme.textContent = name === "dark" ? "Light" : "Dark";
}

choice.addEventListener("change", () => { state.model = choice.value; remember(); show(); });
theme.addEventListener("click", () => { dress(document.documentElement.dataset.theme === "dark" ? "light" : "dark"); show(); });
document.addEventListener("foldin-key-needed", () => { document.getElementById("access").hidden = false; });
document.getElementById("access").addEventListener("submit", (event) => {
  event.preventDefault();
  useKey(document.getElementById("key").value);
  start();
});
window.addEventListener("hashchange", () => {
  if (location.hash.startsWith("#/")) show(); // else a place on the page, as the skip link's
  page.focus();
});
dress(matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
start();
