// A figure to move: a question, sliders, a picture that answers, time that can be played, stepped and scrubbed, a state in the address.

import { Picture } from "./picture.js";

const WORDS = {
  en: { figure: "Figure to move", question: "Before you move anything", right: "Yes.", wrong: "Not quite.", play: "Play", pause: "Pause", back: "One step back", forward: "One step forward", step: "Step", of: "of", reset: "Reset", link: "Copy a link to this state", copied: "Copied", failed: "The figure could not be loaded" },
  ko: { figure: "움직여 보는 그림", question: "움직여 보기 전에", right: "맞습니다.", wrong: "아닙니다.", play: "재생", pause: "멈춤", back: "한 단계 뒤로", forward: "한 단계 앞으로", step: "단계", of: "/", reset: "처음으로", link: "이 상태의 주소 복사", copied: "복사했습니다", failed: "그림을 불러오지 못했습니다" },
};

export function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value === true) made.setAttribute(key, "");
    else if (value !== false && value !== null) made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

// The values of the parameters that the address gives, else those that the figure starts with.
export function initial(figure, search = "") {
  const asked = new URLSearchParams(search);
  const found = {};
  for (const one of figure.parameters) {
    const text = asked.get(`${figure.name}.${one.name}`);
    const given = text === null ? null : read(one, text);
    found[one.name] = given ?? (Array.isArray(one.start) ? [...one.start] : one.start);
  }
  return found;
}

function read(parameter, text) {
  if (parameter.options) return parameter.options.map(String).includes(text) ? parameter.options[parameter.options.map(String).indexOf(text)] : null;
  if (Array.isArray(parameter.start)) {
    const list = text.split("_").map(Number);
    return list.length === parameter.start.length && list.every(Number.isFinite) ? list : null;
  }
  const value = Number(text);
  return text !== "" && Number.isFinite(value) ? Math.min(Math.max(value, parameter.min), parameter.max) : null;
}

// figure: a module of this folder. source(film, parameters): the film of a figure that has one.
export async function mount(host, figure, { language = "en", source = null } = {}) {
  const [own, words] = [WORDS[language], figure.words[language]];
  const state = { parameters: initial(figure, location.search), at: Number(new URLSearchParams(location.search).get(`${figure.name}.at`) ?? 0) || 0, answered: null, playing: null, values: null, asked: 0 };

  const title = el("p", { class: "moving-title", id: `moving-${figure.name}` }, el("span", { class: "moving-kind" }, `${own.figure}: `), words.title);
  const question = el("div", { class: "moving-question" });
  const inputs = el("div", { class: "moving-inputs" });
  const stage = el("div", { class: "moving-stage" });
  const time = el("div", { class: "moving-time", hidden: true });
  const told = el("p", { class: "visually-hidden", "aria-live": "polite" });
  const buttons = el("div", { class: "moving-buttons" });
  host.classList.add("moving");
  host.setAttribute("role", "group");
  host.setAttribute("aria-labelledby", title.id);
  host.replaceChildren(title, question, inputs, time, stage, told, buttons);
  const picture = new Picture(stage);

  // Late, since a slider moves often and browsers refuse to change the address that often.
  const remember = () => {
    clearTimeout(state.remembering);
    state.remembering = setTimeout(writeAddress, 200);
  };
  const writeAddress = () => {
    const asked = new URLSearchParams(location.search);
    for (const one of figure.parameters) {
      const value = state.parameters[one.name];
      const key = `${figure.name}.${one.name}`;
      if (String(value) === String(one.start)) asked.delete(key);
      else asked.set(key, Array.isArray(value) ? value.join("_") : String(value));
    }
    if (state.at) asked.set(`${figure.name}.at`, String(state.at));
    else asked.delete(`${figure.name}.at`);
    const text = asked.toString();
    history.replaceState(history.state, "", `${location.pathname}${text ? `?${text}` : ""}${location.hash}`);
  };

  const draw = () => {
    if (state.values === null) return;
    const frames = state.values.frames;
    state.at = frames ? Math.min(Math.max(state.at, 0), frames.length - 1) : 0;
    picture.begin();
    figure.draw(picture, state.values, { at: state.at, frame: frames ? frames[state.at] : null, parameters: state.parameters, words, answered: state.answered !== null, set });
    picture.end();
    time.hidden = !frames;
    if (frames) {
      const scrub = time.querySelector("input");
      scrub.max = String(frames.length - 1);
      scrub.value = String(state.at);
      time.querySelector("output").textContent = words.at?.(frames[state.at], state.at) ?? `${state.at} ${own.of} ${frames.length - 1}`;
    }
    if (!state.playing) told.textContent = words.describe(state.values, state.at, state.parameters);
  };

  const compute = async () => {
    const asked = (state.asked += 1);
    try {
      const film = figure.film ? await source(figure.film, Object.fromEntries(figure.filmParameters.map((name) => [name, state.parameters[name]]))) : null;
      if (asked !== state.asked) return; // a later question was asked meanwhile
      state.values = figure.compute(state.parameters, film);
      draw();
    } catch (error) {
      if (asked !== state.asked) return;
      console.error(error);
      state.values = null;
      stage.replaceChildren(el("p", { role: "alert" }, `${own.failed}: ${error.message}`));
    }
  };

  // Changes of parameters, by a slider, a handle or a box.
  const set = (changes) => {
    for (const [name, value] of Object.entries(changes)) {
      const one = figure.parameters.find((each) => each.name === name);
      const fitted = typeof value === "number" && "min" in one ? Number((Math.round((Math.min(Math.max(value, one.min), one.max) - one.min) / one.step) * one.step + one.min).toPrecision(12)) : value;
      state.parameters[name] = fitted;
    }
    show();
    remember();
    compute();
  };

  const shows = [];
  const show = () => shows.forEach((one) => one());

  for (const one of figure.parameters) {
    const label = words[one.name];
    const id = `moving-${figure.name}-${one.name}`;
    if (one.options) {
      const select = el("select", { id, onchange: () => set({ [one.name]: one.options[select.selectedIndex] }) }, ...one.options.map((option) => el("option", { value: String(option) }, words.options?.[one.name]?.[option] ?? String(option))));
      shows.push(() => { select.selectedIndex = one.options.indexOf(state.parameters[one.name]); });
      inputs.append(el("label", { for: id }, label, select));
    } else if (Array.isArray(one.start)) {
      if (!one.rows) continue; // a list that is moved by handles alone has sliders of its own
      const boxes = one.start.map((_, at) => el("input", { type: "checkbox", "aria-label": `${words.rows[Math.floor(at / one.columns)]}, ${words.columns[at % one.columns]}`, onchange: (event) => { const next = [...state.parameters[one.name]]; next[at] = event.target.checked ? 1 : 0; set({ [one.name]: next }); } }));
      shows.push(() => boxes.forEach((box, at) => { box.checked = Boolean(state.parameters[one.name][at]); }));
      const table = el("table", { class: "moving-boxes" }, el("caption", {}, label), el("tr", {}, el("td"), ...words.columns.map((name) => el("th", { scope: "col" }, name))));
      for (let row = 0; row < one.rows; row += 1) table.append(el("tr", {}, el("th", { scope: "row" }, words.rows[row]), ...boxes.slice(row * one.columns, (row + 1) * one.columns).map((box) => el("td", {}, box))));
      inputs.append(table);
    } else {
      const input = el("input", { id, type: "range", min: one.min, max: one.max, step: one.step, oninput: () => set({ [one.name]: Number(input.value) }) });
      const output = el("output", { for: id });
      shows.push(() => { input.value = String(state.parameters[one.name]); output.textContent = String(state.parameters[one.name]).replace("-", "−"); });
      inputs.append(el("label", { for: id }, el("span", {}, label, " ", output), input));
    }
  }

  const ask = () => {
    if (!words.question) return;
    const answered = state.answered !== null;
    const choices = words.choices.map((text, at) => el("button", { type: "button", disabled: answered, "data-right": answered && at === figure.right, "aria-pressed": String(state.answered === at), onclick: () => { state.answered = at; ask(); draw(); question.querySelector(".moving-because").focus(); } }, text));
    question.replaceChildren(el("p", {}, el("strong", {}, `${own.question}: `), words.question), el("div", { class: "moving-choices" }, ...choices));
    if (answered) question.append(el("p", { class: "moving-because", tabindex: "-1" }, el("strong", {}, state.answered === figure.right ? `${own.right} ` : `${own.wrong} `), words.because));
  };

  const stop = () => {
    clearInterval(state.playing);
    state.playing = null;
    play.textContent = own.play;
  };
  const go = (at) => { state.at = at; draw(); };
  const play = el("button", { type: "button", onclick: () => {
    if (state.playing) { stop(); remember(); draw(); return; }
    if (state.at >= state.values.frames.length - 1) state.at = 0;
    play.textContent = own.pause;
    state.playing = setInterval(() => { if (state.at >= state.values.frames.length - 1) { stop(); remember(); draw(); } else go(state.at + 1); }, figure.pace ?? 250);
  } }, own.play);
  const by = (change) => () => { stop(); go(state.at + change); remember(); };
  time.append(play, el("button", { type: "button", "aria-label": own.back, onclick: by(-1) }, "◀"), el("button", { type: "button", "aria-label": own.forward, onclick: by(1) }, "▶"), el("label", {}, el("span", {}, words.step ?? own.step, " ", el("output")), el("input", { type: "range", min: 0, max: 1, step: 1, oninput: (event) => { stop(); go(Number(event.target.value)); remember(); } })));
  const link = el("button", { type: "button", onclick: async () => {
    await navigator.clipboard?.writeText(location.href);
    link.textContent = own.copied;
    setTimeout(() => { link.textContent = own.link; }, 1500);
  } }, own.link);
  buttons.append(el("button", { type: "button", onclick: () => {
    stop();
    state.parameters = initial(figure);
    [state.at, state.answered] = [0, null];
    ask();
    show();
    remember();
    compute();
  } }, own.reset), link);

  ask();
  show();
  await compute();
  let width = stage.clientWidth;
  new ResizeObserver(() => {
    if (stage.clientWidth === width) return;
    width = stage.clientWidth;
    draw();
  }).observe(stage);
}
