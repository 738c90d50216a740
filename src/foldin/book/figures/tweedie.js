// Tweedie's formula for three points: the noisy density, its score, and two moves from x_t to the mean of x_0 given x_t.

import { linspace, logSumExp, normalLog, softmax, sum } from "./math.js";

export const name = "tweedie";

export const parameters = [
  { name: "noise", min: 0.01, max: 0.999, step: 0.001, start: 0.3 },
  { name: "xt", min: -3, max: 3, step: 0.02, start: 0 },
];

export const right = 1;

const shown = (value, digits = 3) => value.toFixed(digits).replace(/^-(?=0\.?0*$)/, "").replace("-", "−");
const bracket = (value) => (value < 0 ? `(${shown(value, 4)})` : shown(value, 4));
const formula = (values, { noise, xt }) => `(${shown(xt, 2)} + ${shown(noise)} · ${bracket(values.slope)}) / ${shown(values.signal, 4)} = ${shown(values.tweedie)}`;

export const words = {
  en: {
    title: "from the slope of the noisy density to the clean data",
    noise: "Variance of the noise, 1 − ᾱₜ",
    xt: "Noisy data xₜ",
    question: "The data are the three points −2, −1.4 and 1.2. Let xₜ be nearly all noise. Where is the best guess of x₀?",
    choices: ["Far outside: xₜ is divided by √ᾱₜ, which is nearly 0", "Near the mean of the data, for every xₜ", "At the point of the data that is nearest to xₜ / √ᾱₜ"],
    because: "The score is then close to −xₜ, so that the walk uphill takes away nearly all of xₜ before the division. What is left says little about x₀, and the best guess without knowledge is the mean, −0.733.",
    density: "Noisy density q(xₜ)",
    score: "Score ∇ log q(xₜ)",
    moves: "The two moves of Tweedie's formula",
    uphill: "1. uphill: + (1 − ᾱₜ) ∇ log q(xₜ)",
    unshrink: "2. undo the shrinking: ÷ √ᾱₜ",
    points: "data x₀, by size q(x₀ | xₜ); square: their mean",
    q: "q(xₜ)",
    shrunk: "√ᾱₜ x₀ of the data",
    guess: (values, set) => `Tweedie's formula: ${formula(values, set)}`,
    exact: (values) => `E[x₀ | xₜ] = ${shown(values.exact)}, the mean of the three points with the weights q(x₀ | xₜ) = ${values.weights.map((one) => shown(one)).join(", ")}`,
    describe: (values, _, { noise, xt }) => `With a noise variance of ${shown(noise)} and noisy data ${shown(xt, 2)}, the score is ${shown(values.slope)}; Tweedie's formula gives ${shown(values.tweedie)}, and the mean of the data given the noisy data is ${shown(values.exact)}.`,
  },
  ko: {
    title: "잡음 섞인 밀도의 기울기에서 깨끗한 데이터로",
    noise: "잡음의 분산 1 − ᾱₜ",
    xt: "잡음 섞인 데이터 xₜ",
    question: "데이터는 세 점 −2, −1.4, 1.2입니다. xₜ가 거의 다 잡음이라면 x₀에 대한 가장 좋은 추측은 어디에 있을까요?",
    choices: ["아주 바깥. 0에 가까운 √ᾱₜ로 xₜ를 나누기 때문이다", "xₜ가 무엇이든 데이터의 평균 근처", "xₜ / √ᾱₜ에 가장 가까운 데이터 점"],
    because: "이때 점수 함수는 −xₜ에 가깝습니다. 그래서 오르막을 걷는 동안 xₜ가 거의 다 없어지고, 나누는 것은 그다음입니다. 남은 것은 x₀에 대해 알려 주는 것이 별로 없고, 아무것도 모를 때 가장 좋은 추측은 평균 −0.733입니다.",
    density: "잡음 섞인 밀도 q(xₜ)",
    score: "점수 함수 ∇ log q(xₜ)",
    moves: "트위디 공식의 두 걸음",
    uphill: "1. 오르막으로: + (1 − ᾱₜ) ∇ log q(xₜ)",
    unshrink: "2. 줄어든 신호를 되돌리기: ÷ √ᾱₜ",
    points: "데이터 x₀(크기는 q(x₀ | xₜ)), 사각형은 그 평균",
    q: "q(xₜ)",
    shrunk: "데이터의 √ᾱₜ x₀",
    guess: (values, set) => `트위디 공식: ${formula(values, set)}`,
    exact: (values) => `E[x₀ | xₜ] = ${shown(values.exact)}, 가중치가 q(x₀ | xₜ) = ${values.weights.map((one) => shown(one)).join(", ")}인 세 점의 평균입니다.`,
    describe: (values, _, { noise, xt }) => `잡음의 분산이 ${shown(noise)}, 잡음 섞인 데이터가 ${shown(xt, 2)}일 때 점수 함수의 값은 ${shown(values.slope)}입니다. 트위디 공식의 값은 ${shown(values.tweedie)}, 잡음 섞인 데이터가 주어졌을 때 데이터의 평균은 ${shown(values.exact)}입니다.`,
  },
};

const CLEAN = [-2, -1.4, 1.2];

export function compute({ noise, xt }) {
  const [signal, sigma] = [Math.sqrt(1 - noise), Math.sqrt(noise)];
  const logs = (x) => CLEAN.map((clean) => normalLog(x, signal * clean, sigma));
  const logDensity = (x) => logSumExp(logs(x)) - Math.log(CLEAN.length);
  // The score from the density alone, by differences: so that its agreement with the posterior mean is no tautology.
  const near = 1e-3 * noise;
  const score = (x) => (logDensity(x + near) - logDensity(x - near)) / (2 * near);
  const grid = linspace(-3.2, 3.2, 321);
  const slope = score(xt);
  const uphill = xt + noise * slope;
  const weights = softmax(logs(xt));
  return {
    clean: CLEAN, signal, grid, density: grid.map((x) => Math.exp(logDensity(x))), score: grid.map(score),
    here: Math.exp(logDensity(xt)), slope, uphill, tweedie: uphill / signal,
    weights, exact: sum(weights.map((one, at) => one * CLEAN[at])),
  };
}

export function draw(picture, values, { parameters, words: text, set }) {
  const { xt } = parameters;
  const curve = (heights) => values.grid.map((x, at) => [x, heights[at]]);
  picture.plot({ x: [-3.2, 3.2], y: [0, 1.3 * Math.max(...values.density)], title: text.density, xLabel: "xₜ" })
    .area(curve(values.density), { color: "q" }).line(curve(values.density), { color: "q" })
    .points(values.clean.map((one) => [values.signal * one, 0]), { color: "signal", size: 5, shape: "triangle", opacity: 1 })
    .rule({ x: xt }).legend([[text.q, "q"], [text.shrunk, "signal"]])
    .handle([xt, values.here], ([x]) => set({ xt: x }), { color: "q" });
  const reach = 1.1 * Math.max(...values.score.map(Math.abs));
  picture.plot({ x: [-3.2, 3.2], y: [-reach, reach], title: text.score, xLabel: "xₜ" })
    .rule({ y: 0 }).rule({ x: xt }).line(curve(values.score), { color: "information" })
    .points([[xt, values.slope]], { color: "information", size: 5, opacity: 1 });
  const label = { color: "quiet", dx: 4, dy: -10 };
  picture.plot({ x: [-3.2, 3.2], y: [-0.5, 2.9], title: text.moves, wide: true, width: 640, height: 210, yTicks: 0 })
    .rule({ x: values.exact, color: "signal", dash: "2 3" })
    .arrow([xt, 2], [values.uphill, 2], { color: "information", thick: 2.5 })
    .arrow([values.uphill, 1], [values.tweedie, 1], { color: "quiet", thick: 2.5 })
    .points(values.clean.map((one) => [one, 0]), { color: "signal", size: (at) => 3 + 8 * Math.sqrt(values.weights[at]), opacity: 0.45 })
    .points([[values.exact, 0]], { color: "signal", size: 5, shape: "square", opacity: 1 })
    .text([-3.2, 2], text.uphill, { ...label, color: "information" }).text([-3.2, 1], text.unshrink, label)
    .text([-3.2, 0], text.points, { ...label, color: "signal" })
    .handle([xt, 2], ([x]) => set({ xt: x }), { color: "q" });
  picture.say(text.guess(values, parameters), "information");
  picture.say(text.exact(values), "signal");
}
