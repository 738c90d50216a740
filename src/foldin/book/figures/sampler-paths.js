// Paths from noise to data in one dimension, with the exact denoiser of two Gaussians: DDIM steps with more or less noise on the way.

import { integral, linspace, normal, random } from "./math.js";

export const name = "sampler-paths";

export const parameters = [
  { name: "eta", min: 0, max: 1, step: 0.05, start: 0 },
  { name: "steps", min: 2, max: 100, step: 1, start: 10 },
  { name: "seed", min: 1, max: 20, step: 1, start: 1 },
];

export const right = 1;

export const words = {
  en: {
    title: "paths from noise to data",
    eta: "Noise on the way: σₜ as a share of √β̃ₜ",
    steps: "Number of steps, out of 1,000",
    seed: "Draw that noise again (seed)",
    question: "Ten steps, and the best possible denoiser. Which end points are nearer to the data?",
    choices: ["Equally near: for every σₜ the marginals are those of training", "Those without noise on the way, σₜ = 0", "Those with noise, σₜ = √β̃ₜ: it covers up earlier errors"],
    because: "The marginals are those of training if the guess x̂₀ is right. The best guess is a mean of many x₀, so that a long step is wrong for every σₜ, and here more so with noise. With many small steps both come to the data.",
    paths: "30 of the 800 paths, from noise (top) to data (bottom)",
    ends: "Where the 800 paths end",
    low: "from x_T < 0",
    high: "from x_T ≥ 0",
    truth: "data, q(x₀)",
    density: "density",
    distance: "How far the end points are from the data, in units of x₀",
    wasserstein: "Wasserstein-1 distance",
    chance: "mean distance of 800 draws from q(x₀) itself",
    crossed: (values) => `Of the ${values.pairs} pairs of paths that are drawn, ${values.crossed} cross.`,
    describe: (values, _, { eta, steps }) => `With noise on the way of ${eta} times √β̃ₜ and ${steps} steps, the Wasserstein-1 distance of the end points from the data is ${values.distance.toFixed(3)}. It is ${values.chance.toFixed(3)} on average for as many draws from the data. Of ${values.pairs} pairs of paths, ${values.crossed} cross.`,
  },
  ko: {
    title: "잡음에서 데이터로 가는 경로",
    eta: "도중의 잡음: √β̃ₜ에 대한 σₜ의 비율",
    steps: "단계 수 (1,000단계 가운데)",
    seed: "도중의 잡음을 다시 뽑기 (시드)",
    question: "10단계만 쓰고, 잡음 제거기는 가장 좋은 것입니다. 어느 쪽의 끝점이 데이터에 더 가까울까요?",
    choices: ["똑같다. σₜ가 무엇이든 주변분포는 학습할 때와 같으므로", "도중에 잡음이 없는 쪽, σₜ = 0", "잡음이 있는 쪽, σₜ = √β̃ₜ. 새 잡음이 앞의 오차를 덮으므로"],
    because: "주변분포가 학습할 때와 같은 것은 추측 x̂₀이 맞을 때입니다. 가장 좋은 추측도 여러 x₀의 평균이므로 긴 단계는 σₜ가 무엇이든 틀리고, 여기서는 잡음이 있을 때 더 틀립니다. 작은 단계를 많이 밟으면 둘 다 데이터에 이릅니다.",
    paths: "경로 800개 가운데 30개: 잡음(위)에서 데이터(아래)로",
    ends: "경로 800개의 끝점",
    low: "x_T < 0에서 출발",
    high: "x_T ≥ 0에서 출발",
    truth: "데이터 q(x₀)",
    density: "밀도",
    distance: "끝점이 데이터에서 떨어진 거리 (x₀의 단위)",
    wasserstein: "바서슈타인 거리(Wasserstein-1)",
    chance: "q(x₀)에서 바로 뽑은 800개의 평균 거리",
    crossed: (values) => `그려진 경로의 쌍 ${values.pairs}개 가운데 ${values.crossed}개가 서로 엇갈립니다.`,
    describe: (values, _, { eta, steps }) => `도중의 잡음이 √β̃ₜ의 ${eta}배이고 ${steps}단계일 때 끝점과 데이터 사이의 바서슈타인 거리는 ${values.distance.toFixed(3)}입니다. 데이터에서 바로 뽑은 같은 수의 점은 평균 ${values.chance.toFixed(3)}입니다. 경로의 쌍 ${values.pairs}개 가운데 ${values.crossed}개가 엇갈립니다.`,
  },
};

export const T = 1000;

// ᾱ_0 … ᾱ_T of the linear schedule, β_t from 0.0001 to 0.02.
export const ALPHA_BAR = [1];
for (let t = 1; t <= T; t += 1) ALPHA_BAR.push(ALPHA_BAR[t - 1] * (1 - (1e-4 + ((0.02 - 1e-4) * (t - 1)) / (T - 1))));

// n ≥ 2 of the steps T … 1, evenly spaced; halves are rounded to the even number, as in Python.
export function evenly(n) {
  const width = (1 - T) / (n - 1);
  return Array.from({ length: n }, (_, at) => {
    const place = at < n - 1 ? at * width + T : 1;
    const floor = Math.floor(place);
    return place - floor === 0.5 ? floor + (floor % 2) : Math.round(place);
  });
}

// E[x_0 | x_t] as a function of x_t and ᾱ_t, for data from two Gaussians that are equally wide, the second with weight `share`.
export const denoiser = ({ means: [low, high], share, sd }) => {
  const prior = Math.log(share / (1 - share));
  return (x, alphaBar) => {
    const [root, variance] = [Math.sqrt(alphaBar), alphaBar * sd * sd + 1 - alphaBar];
    const second = 1 / (1 + Math.exp(-prior - (root * (high - low) * (x - (root * (low + high)) / 2)) / variance));
    const center = low + second * (high - low);
    return center + ((root * sd * sd) / variance) * (x - root * center);
  };
};

// x at each of the steps and at 0; noise(): fresh noise for every x, asked for where σ_t > 0.
export function ddim(denoise, x, steps, eta = 0, noise = null) {
  const found = [x];
  steps.forEach((now, k) => {
    const [a, b] = [ALPHA_BAR[now], ALPHA_BAR[steps[k + 1] ?? 0]];
    const sigma = eta * Math.sqrt(((1 - b) / (1 - a)) * (1 - a / b));
    const kept = Math.sqrt(Math.max(0, 1 - b - sigma * sigma) / (1 - a)); // the factor of x_t, with ε̂ = (x_t − √ᾱ_t x̂_0) / √(1 − ᾱ_t)
    const clean = Math.sqrt(b) - kept * Math.sqrt(a);
    const fresh = sigma > 0 ? noise() : null;
    found.push(found[k].map((one, at) => clean * denoise(one, a) + kept * one + (fresh ? sigma * fresh[at] : 0)));
  });
  return found;
}

const DATA = { means: [-1.3, 0.7], share: 0.65, sd: 0.3 }; // mean 0, variance 1
const [COUNT, SHOWN, BIN] = [800, 30, 0.1];
const START = (({ gaussian }) => Array.from({ length: COUNT }, gaussian))(random(8)); // x_T: the same for all settings
const GRID = linspace(-4, 4, 1601);
const TRUTH = GRID.map((x) => (1 - DATA.share) * normal(x, DATA.means[0], DATA.sd) + DATA.share * normal(x, DATA.means[1], DATA.sd));
const WIDTH = GRID[1] - GRID[0];
const BELOW = [0]; // P(x_0 ≤ x)
for (let at = 1; at < GRID.length; at += 1) BELOW.push(Math.min(1, BELOW[at - 1] + (WIDTH * (TRUTH[at - 1] + TRUTH[at])) / 2));

export function compute({ eta, steps: asked, seed }) {
  const steps = evenly(Math.round(asked));
  const { gaussian } = random(1000 + seed);
  const fresh = [];
  const path = ddim(denoiser(DATA), START, steps, eta, () => fresh[fresh.push(START.map(gaussian)) - 1]);
  const ends = path[path.length - 1];
  const sorted = [...ends].sort((one, other) => one - other);
  let passed = 0;
  const gaps = GRID.map((x, at) => {
    while (passed < COUNT && sorted[passed] <= x) passed += 1;
    return Math.abs(passed / COUNT - BELOW[at]);
  });
  const chance = Math.sqrt(2 / (Math.PI * COUNT)) * integral(BELOW.map((one) => Math.sqrt(one * (1 - one))), WIDTH);
  let crossed = 0;
  for (let one = 0; one < SHOWN; one += 1) {
    for (let other = 0; other < one; other += 1) if (path.some((x) => x[one] < x[other] !== START[one] < START[other])) crossed += 1;
  }
  const bins = linspace(-2.95, 2.95, 60).map((x) => ({ x, all: 0, low: 0 }));
  ends.forEach((end, at) => {
    const bin = bins[Math.floor((end + 3) / BIN)];
    if (!bin) return;
    bin.all += 1 / (COUNT * BIN);
    if (START[at] < 0) bin.low += 1 / (COUNT * BIN);
  });
  return { times: [...steps, 0], path, fresh, ends, bins, distance: integral(gaps, WIDTH), chance, crossed, pairs: (SHOWN * (SHOWN - 1)) / 2 };
}

export function draw(picture, values, { words: text }) {
  const wide = { x: [-3, 3], width: 640, wide: true };
  const paths = picture.plot({ ...wide, y: [0, T], height: 300, title: text.paths, xLabel: "xₜ", yLabel: "t" });
  for (let at = 0; at < SHOWN; at += 1) {
    const color = START[at] < 0 ? "signal" : "information";
    paths.line(values.times.map((t, k) => [values.path[k][at], t]), { color, thick: 1.3, opacity: 0.75 });
  }
  picture.plot({ ...wide, y: [0, 1.25], height: 190, title: text.ends, xLabel: "x₀", yLabel: text.density })
    .columns(values.bins.map(({ x, all }) => ({ x, value: all, color: "information" })), { thick: BIN, opacity: 1 })
    .columns(values.bins.map(({ x, low }) => ({ x, value: low, color: "signal" })), { thick: BIN, opacity: 1 })
    .line(GRID.map((x, at) => [x, TRUTH[at]]), { color: "text", thick: 2.5 })
    .legend([[text.low, "signal"], [text.high, "information"], [text.truth, "text"]]);
  picture.bars({
    title: text.distance,
    rows: [{ label: "", parts: [{ value: values.distance, color: "accent", label: text.wasserstein }], mark: { value: values.chance, label: text.chance } }],
    to: 1,
  });
  picture.say(text.crossed(values));
}
