// Puts the figures of a page of the book in their places.

import { mount } from "./moving.js";

const language = document.documentElement.lang.startsWith("ko") || location.pathname.includes("/ko/") ? "ko" : "en";
const films = {};

// A film of the book was made when the book was: all its versions are in one file, by their parameters.
async function source(name, parameters) {
  films[name] ??= fetch(new URL(`films/${name}.json`, import.meta.url)).then((answer) => answer.json());
  const key = Object.entries(parameters).map(([one, value]) => `${one}=${value}`).join(",");
  const found = (await films[name])[key];
  if (!found) throw new Error(`no film for ${key}`);
  return found;
}

for (const place of document.querySelectorAll("[data-figure]")) {
  const figure = await import(`./${place.dataset.figure}.js`);
  await mount(place.querySelector(".moving-place"), figure, { language, source });
}
