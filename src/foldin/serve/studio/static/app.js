// The pages by their address, the model that is looked at, the key, light and dark.

import { get, useKey } from "./api.js";
import { el, failed, loading } from "./ui.js";
import { choose, restore, state } from "./state.js";
import { userPage } from "./user.js";
import { modelPage } from "./model.js";
import { comparePage } from "./compare.js";
import { experimentsPage } from "./experiments.js";
import { driftPage } from "./drift.js";
import { mapPage } from "./map.js";
import { labPage } from "./lab.js";
import { learnPage } from "./learn.js";

const PAGES = { user: userPage, model: modelPage, compare: comparePage, experiments: experimentsPage, drift: driftPage, map: mapPage, lab: labPage, learn: learnPage };
const page = document.getElementById("page");
const choice = document.getElementById("model");
const theme = document.getElementById("theme");
const access = document.getElementById("access");

const named = () => (location.hash.startsWith("#/") ? location.hash.slice(2) || "user" : "user");

function show() {
  const name = named();
  for (const link of document.querySelectorAll("nav a")) {
    if (link.getAttribute("href") === `#/${name}`) {
      link.setAttribute("aria-current", "page");
      link.scrollIntoView({ block: "nearest", inline: "nearest" });
    } else link.removeAttribute("aria-current");
  }
  const heading = document.querySelector(`nav a[href="#/${CSS.escape(name)}"]`);
  document.title = heading ? `${heading.textContent} – foldin studio` : "foldin studio";
  choice.value = state.model;
  page.replaceChildren();
  (PAGES[name] || userPage)(page);
}

// Show what the address says.
async function arrive(options) {
  const problem = await restore(options);
  show();
  if (problem) page.prepend(failed(problem));
}

async function start() {
  page.replaceChildren(loading("Reading the models in service"));
  try {
    ({ models: state.models, deployments: state.deployments } = await get("/v1/models"));
  } catch (error) {
    page.replaceChildren(...(access.hidden ? [failed(error)] : []));
    return;
  }
  choice.replaceChildren(...state.models.map((one) => el("option", { value: one.name }, one.name)));
  access.hidden = true;
  await arrive({ first: true });
}

const system = matchMedia("(prefers-color-scheme: dark)");

function dress(name) {
  for (const one of [document.documentElement, document.body]) one.dataset.theme = name;
  theme.textContent = name === "dark" ? "Light" : "Dark";
}

choice.addEventListener("change", () => { choose(choice.value); show(); });
theme.addEventListener("click", () => {
  dress(document.documentElement.dataset.theme === "dark" ? "light" : "dark");
  localStorage.setItem("foldin-theme", document.documentElement.dataset.theme);
  show();
});
system.addEventListener("change", () => {
  if (localStorage.getItem("foldin-theme")) return;
  dress(system.matches ? "dark" : "light");
  show();
});
document.addEventListener("foldin-key-needed", (event) => {
  document.getElementById("access-reason").textContent = event.detail;
  access.hidden = false;
});
access.addEventListener("submit", (event) => {
  event.preventDefault();
  access.hidden = true;
  useKey(document.getElementById("key").value);
  start();
});
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault(); // the page's name is in the fragment
  page.focus();
});
// A click on a page's link is told twice, a step back or forward once or twice.
let before = named();
for (const name of ["popstate", "hashchange"]) {
  window.addEventListener(name, async () => {
    if (location.href === state.shown) return;
    state.shown = location.href;
    const other = named() !== before;
    before = named();
    await arrive();
    if (other) page.focus();
  });
}
dress(document.documentElement.dataset.theme);
start();
