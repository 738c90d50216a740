// Learn: the chapters of the book with their figures to move; what is learned in them, the library learns when it is asked for.

import { get, segment } from "./api.js";
import { el, failed, fill } from "./ui.js";
import { mount } from "./figures/moving.js";

// One film is computed at a time; meanwhile the service answers 503.
async function source(name, parameters) {
  for (;;) {
    try {
      return await get(`/v1/book/films/${segment(name)}?${new URLSearchParams(parameters)}`);
    } catch (error) {
      if (error.status !== 503) throw error;
      await new Promise((done) => { setTimeout(done, 1000); });
    }
  }
}

async function show(place, name) {
  try {
    await mount(place, await import(`./figures/${name}.js`), { source });
  } catch (error) {
    place.replaceChildren(failed(error));
  }
}

function chapter(one, installed, opened) {
  const figures = one.figures.map((name) => el("div", { id: `figure-${name}`, "data-figure": name }));
  const part = el("details", { class: "chapter", open: opened }, el("summary", {}, `${one.number}. ${one.title}`),
    installed ? el("p", {}, el("a", { href: `book/book/en/${one.name}.html` }, "Read the chapter"), " · ", el("a", { href: `book/book/ko/${one.name}.html`, lang: "ko", hreflang: "ko" }, "한국어")) : null,
    figures);
  const start = () => figures.filter((place) => !place.hasChildNodes()).forEach((place) => show(place, place.dataset.figure));
  part.addEventListener("toggle", () => { if (part.open) start(); });
  if (opened) start();
  return part;
}

export function learnPage(page) {
  const chapters = el("section", { "aria-label": "Chapters" });
  page.replaceChildren(el("h1", {}, "Learn"), el("p", { class: "lead" }, "The formulas behind the models: a figure to move for each idea, computed here. Every equation of the book is derived and checked."), chapters);
  fill(chapters, "Reading the book", get("/v1/book"), (content) => {
    const asked = [...new URLSearchParams(location.search).keys()].map((key) => key.split(".")[0]);
    const first = content.chapters.find((one) => one.figures.some((name) => asked.includes(name))) || content.chapters.find((one) => one.figures.length);
    return [
      content.installed ? null : el("p", { class: "note" }, "The pages of the book are not installed here: pip install foldin-docs, or make docs in a clone of the repository. The figures work without them."),
      ...content.chapters.filter((one) => one.figures.length || content.installed).map((one) => chapter(one, content.installed, one === first)),
    ].filter(Boolean);
  });
}
