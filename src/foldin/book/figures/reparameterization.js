// z = μ + σ ε: noise that knows nothing of μ and σ goes in, a draw comes out, and a derivative comes back.

import { linspace, mean, normal, random, sum } from "./math.js";

export const name = "reparameterization";

export const parameters = [
  { name: "mu", min: -2.5, max: 2.5, step: 0.05, start: -0.5 },
  { name: "sigma", min: 0.1, max: 2, step: 0.05, start: 0.8 },
  { name: "epsilon", min: -2.5, max: 2.5, step: 0.05, start: 1.3 },
  { name: "g", options: ["likelihood", "slope", "jump"], start: "likelihood" },
];

export const right = 1;

const show = (value, digits = 2) => value.toFixed(digits).replace(/^-(?=0\.?0*$)/, "").replace("-", "−");

export const words = {
  en: {
    title: "noise goes in, a derivative comes back",
    mu: "Mean μ",
    sigma: "Standard deviation σ",
    epsilon: "Noise ε of the marked draw",
    g: "The function g",
    options: { g: { likelihood: "log-likelihood: −(2 − z)² / 2", slope: "a steep rise at z = 1", jump: "a jump at z = 1" } },
    question: "Let g jump from 0 to 1 at z = 1. Where does the mean of the estimates ∂g/∂z go with more and more draws?",
    choices: ["To the gradient of E[g(z)] in μ, as for any g", "To zero, which is not that gradient", "To infinity, because of the jump"],
    because: "A larger μ carries more draws over the jump, so E[g(z)] rises. But g is flat at every draw, and no estimate sees it. Gradient and mean can only be exchanged for a g without jumps.",
    machine: "z = μ + σ ε",
    noise: "ε ~ N(0, 1)",
    z: "z ~ N(μ, σ²)",
    below: "noise ε below, z above",
    curve: "g(z), and what moves the marked draw",
    slope: "slope ∂g/∂z",
    byMu: "if μ grows by 0.5",
    bySigma: "if σ grows by 0.5",
    back: "What comes back",
    rows: ["the marked draw", "mean of the 24 other draws", "gradient of E[g(z)]"],
    columns: ["for μ: ∂g/∂z", "for σ: ε · ∂g/∂z"],
    told: (values, { mu, sigma, epsilon }) => `The marked ε = ${show(epsilon)} gives z = ${show(mu)} + ${show(sigma)} · ${epsilon < 0 ? `(${show(epsilon)})` : show(epsilon)} = ${show(values.z)}. The slope of g there is ${show(values.slope)}: it goes back to μ as it is, and to σ times ε, as ${show(values.one[1])}.`,
    describe: (values, _, { mu, sigma, epsilon }) => `With μ = ${show(mu)} and σ = ${show(sigma)}, the noise ${show(epsilon)} gives z = ${show(values.z)}. Its derivative is ${show(values.one[0])} for μ and ${show(values.one[1])} for σ; the gradient of E[g(z)] is ${show(values.exact[0])} and ${show(values.exact[1])}.`,
  },
  ko: {
    title: "잡음이 들어가고 미분이 되돌아온다",
    mu: "평균 μ",
    sigma: "표준편차 σ",
    epsilon: "표시한 표본의 잡음 ε",
    g: "함수 g",
    options: { g: { likelihood: "로그 가능도: −(2 − z)² / 2", slope: "z = 1에서 가파르게 오르는 함수", jump: "z = 1에서 끊어지는 함수" } },
    question: "z = 1을 지날 때 g가 0에서 1로 뛴다고 합시다. 표본을 점점 늘리면 추정값 ∂g/∂z의 평균은 어디로 갈까요?",
    choices: ["다른 g와 마찬가지로, μ에 대한 E[g(z)]의 기울기로 간다", "0으로 간다. 그러나 그것은 E[g(z)]의 기울기가 아니다", "끊어진 곳이 있으므로 무한대로 간다"],
    because: "μ가 커지면 z = 1을 넘는 표본이 많아지므로 E[g(z)]는 커집니다. 그런데 어느 표본에서나 g는 평평하므로 추정값에는 그것이 나타나지 않습니다. 기울기와 평균의 순서는 g가 끊어지지 않을 때만 바꿀 수 있습니다.",
    machine: "z = μ + σ ε",
    noise: "ε ~ N(0, 1)",
    z: "z ~ N(μ, σ²)",
    below: "아래는 잡음 ε, 위는 z",
    curve: "g(z)와, 표시한 표본이 움직이는 방향",
    slope: "경사 ∂g/∂z",
    byMu: "μ가 0.5 커지면",
    bySigma: "σ가 0.5 커지면",
    back: "되돌아오는 미분",
    rows: ["표시한 표본", "나머지 표본 24개의 평균", "E[g(z)]의 기울기"],
    columns: ["μ에 대해: ∂g/∂z", "σ에 대해: ε · ∂g/∂z"],
    told: (values, { mu, sigma, epsilon }) => `표시한 표본은 ε = ${show(epsilon)}이고 z = ${show(mu)} + ${show(sigma)} · ${epsilon < 0 ? `(${show(epsilon)})` : show(epsilon)} = ${show(values.z)}입니다. 그곳에서 g의 경사는 ${show(values.slope)}입니다. μ에는 이 값이 그대로 되돌아오고, σ에 되돌아오는 것은 ε을 곱한 값 ${show(values.one[1])}입니다.`,
    describe: (values, _, { mu, sigma, epsilon }) => `μ = ${show(mu)}, σ = ${show(sigma)}일 때 잡음 ${show(epsilon)}에서 나오는 z는 ${show(values.z)}입니다. 미분은 μ에 대해 ${show(values.one[0])}, σ에 대해 ${show(values.one[1])}이고, E[g(z)]의 기울기는 ${show(values.exact[0])}, ${show(values.exact[1])}입니다.`,
  },
};

const rise = (z) => 1 / (1 + Math.exp(-6 * (z - 1)));
const FUNCTIONS = {
  likelihood: { g: (z) => -0.5 * (2 - z) ** 2, slope: (z) => 2 - z, reach: [-13, 1.5] },
  slope: { g: rise, slope: (z) => 6 * rise(z) * (1 - rise(z)), reach: [-0.6, 1.3] },
  jump: { g: (z) => (z < 1 ? 0 : 1), slope: () => 0, reach: [-0.6, 1.3] },
};
const SHIFT = 0.5;
const NOISE = linspace(-8, 8, 1601);
const drawn = random(7);
const EPSILONS = Array.from({ length: 24 }, drawn.gaussian);

// The gradient of E[g(μ + σ ε)] in μ and σ, by quadrature; a jump of 1 at z = 1 adds the density there times dz/dμ and dz/dσ.
function gradient(which, mu, sigma) {
  if (which === "jump") return [1, (1 - mu) / sigma].map((one) => normal(1, mu, sigma) * one);
  const values = NOISE.map((epsilon) => normal(epsilon) * FUNCTIONS[which].slope(mu + sigma * epsilon) * (NOISE[1] - NOISE[0]));
  return [sum(values), sum(values.map((one, at) => one * NOISE[at]))];
}

export function compute({ mu, sigma, epsilon, g: which }) {
  const { g, slope } = FUNCTIONS[which];
  const made = (noise) => ({ epsilon: noise, z: mu + sigma * noise, back: [slope(mu + sigma * noise), noise * slope(mu + sigma * noise)] });
  const [one, others] = [made(epsilon), EPSILONS.map(made)];
  const grid = linspace(-5, 5, 501);
  return {
    z: one.z, slope: one.back[0], one: one.back, others, mean: [0, 1].map((at) => mean(others.map((each) => each.back[at]))), exact: gradient(which, mu, sigma),
    moved: [one.z + SHIFT, one.z + SHIFT * epsilon], at: [one.z, one.z + SHIFT, one.z + SHIFT * epsilon].map(g),
    grid, g: grid.map(g), q: grid.map((z) => normal(z, mu, sigma)), noise: grid.map((z) => normal(z)),
  };
}

export function draw(picture, values, { parameters: { mu, sigma, epsilon, g: which }, words: text, set }) {
  const peak = 1 / (sigma * Math.sqrt(2 * Math.PI));
  const tall = 0.85 / Math.max(1, peak); // the densities, on one scale unless that of z is too narrow
  const plot = picture.plot({ x: [-5, 5], y: [-0.5, 2], title: text.machine, xLabel: text.below, yTicks: 0, height: 290 })
    .area(values.grid.map((z, at) => [z, -0.85 * values.noise[at]]), { color: "noise" })
    .area(values.grid.map((z, at) => [z, 1 + tall * values.q[at]]), { color: "q", base: 1 })
    .rule({ y: 0, dash: "" }).rule({ y: 1, dash: "" });
  for (const one of values.others) plot.line([[one.epsilon, 0], [one.z, 1]], { color: "noise", thick: 1, opacity: 0.6 });
  plot.points(values.others.map((one) => [one.epsilon, 0]), { color: "noise", size: 2.5 })
    .points(values.others.map((one) => [one.z, 1]), { color: "q", size: 2.5 })
    .line([[epsilon, 0], [values.z, 1]], { color: "text", thick: 2.5 })
    .points([[values.z, 1]], { color: "text", size: 4, opacity: 1 })
    .text([-5, 0], text.noise, { color: "noise", dx: 4, dy: -5 }).text([-5, 1], text.z, { color: "q", dx: 4, dy: -5 })
    .handle([epsilon, 0], ([place]) => set({ epsilon: place }), { color: "text" })
    .handle([mu, 1 + tall * peak], ([place]) => set({ mu: place }), { color: "q" });

  const [low, high] = FUNCTIONS[which].reach;
  const lanes = [0.17, 0.06].map((part) => low + part * (high - low));
  const [z, height] = [values.z, values.at[0]];
  const below = picture.plot({ x: [-5, 5], y: [low, high], title: text.curve, xLabel: "z", height: 290 })
    .line(values.grid.map((one, at) => [one, values.g[at]]), { color: "reconstruction" })
    .line([[z, low], [z, height]], { color: "text", thick: 1, dash: "3 3" })
    .line([-1, 1].map((step) => [z + step, height + step * values.slope]), { color: "text", thick: 1.5 });
  ["q", "information"].forEach((color, at) => {
    const there = values.moved[at];
    below.arrow([z, lanes[at]], [there, lanes[at]], { color, thick: 2.5 })
      .line([[there, lanes[at]], [there, values.at[at + 1]]], { color, thick: 1, dash: "3 3" })
      .points([[there, values.at[at + 1]]], { color, size: 4, opacity: 1 });
  });
  below.points([[z, height]], { color: "text", size: 4.5, opacity: 1 })
    .legend([["g(z)", "reconstruction"], [text.slope, "text"], [text.byMu, "q"], [text.bySigma, "information"]], { left: true });
  picture.matrix({ title: text.back, rows: text.rows, columns: text.columns, values: [values.one, values.mean, values.exact], wide: true });
  picture.say(text.told(values, { mu, sigma, epsilon }), "q");
}
