// Three denoisers of numbers: the exact one for the training points, which memorizes them; a network of foldin's that is trained on these;
// and the exact one for the true density.

import { integral, linspace } from "./math.js";

export const name = "denoiser";
export const film = "denoiser";
export const filmParameters = ["count"];
export const pace = 700;

export const parameters = [
  { name: "t", min: 5, max: 75, step: 10, start: 15 },
  { name: "count", options: [8, 64, 512], start: 8 },
];

export const right = 1;

const signed = (value, digits) => `${value < 0 ? "−" : ""}${Math.abs(value).toFixed(digits)}`;
const group = (value) => String(value).replace(/(?=(\d{3})+$)(?!^)/g, ",");

export const words = {
  en: {
    title: "what a denoiser learns from few points",
    t: "Step t of the diffusion, of 100",
    count: "Number N of training points",
    step: "Moment of training",
    question: "A denoiser has the lowest squared error that is possible on 8 training points. At low noise it gets an xₜ in a gap between two of them, nearer to one. What is its guess of x₀?",
    choices: ["A place in the gap, near xₜ: there is hardly any noise", "Almost exactly the nearer training point", "Halfway between the two training points"],
    because: "The lowest error on the training set has the mean of its points x₀, with weights in proportion to q(xₜ | x₀) = N(xₜ; √ᾱₜ x₀, 1 − ᾱₜ). At low noise the nearest point has nearly all the weight. A sampler that follows this guess until no noise is left draws training points and nothing else.",
    guesses: (t, noise) => `Guess x̂₀ at t = ${t}, where 1 − ᾱₜ = ${noise.toFixed(3)}`,
    guess: "x̂₀",
    draws: (steps) => `Draws of the network after ${group(steps)} gradient steps`,
    memorizing: "exact for the training points",
    network: "network",
    truth: "exact for the true density",
    density: "true density q(x₀)",
    drawn: "1,000 draws of the network",
    points: "training points",
    errors: (t) => `Mean squared error of x̂₀ at t = ${t}`,
    columns: ["training points", "new data"],
    gap: (memorizing, network) => `On new data, the mean squared error differs from that on training points by ${signed(memorizing, 4)} for the denoiser that is exact for these, and by ${signed(network, 4)} for the network.`,
    describe: (values, at, { count }) => `At t = ${values.t} with ${count} training points, after ${values.frames[at].steps} gradient steps, the mean squared errors on training points and new data are ${words.en.pairs(values, at)}.`,
    pairs: ({ errors, frames }, at) => `${errors.memorizing.map((one) => one.toFixed(4)).join(" and ")} for the denoiser that is exact for the training points, ${frames[at].errors.map((one) => one.toFixed(4)).join(" and ")} for the network, ${errors.truth.map((one) => one.toFixed(4)).join(" and ")} for the one that is exact for the true density`,
  },
  ko: {
    title: "적은 점에서 배우는 잡음 제거",
    t: "확산의 단계 t (100단계 가운데)",
    count: "학습 데이터의 점 개수 N",
    step: "학습 시점",
    question: "학습 데이터의 점 8개에서 제곱 오차가 더 낮아질 수 없는 추측이 있습니다. 잡음이 적을 때, 두 점 사이의 빈 곳에 있고 한쪽에 더 가까운 xₜ를 보면 x₀을 무엇이라고 추측할까요?",
    choices: ["빈 곳에 있는 xₜ 근처. 잡음이 거의 없으므로", "거의 정확히, 더 가까운 쪽 학습 데이터의 점", "두 점의 한가운데"],
    because: "학습 데이터에서 오차가 가장 낮은 추측은, 학습 데이터의 점 x₀을 q(xₜ | x₀) = N(xₜ; √ᾱₜ x₀, 1 − ᾱₜ)에 비례하는 가중치로 평균한 것입니다. 잡음이 적으면 가장 가까운 점이 가중치를 거의 다 차지합니다. 이 추측으로 표본을 뽑아 잡음이 없는 데까지 가면 학습 데이터의 점밖에 나오지 않습니다.",
    guesses: (t, noise) => `t = ${t}일 때의 추측 x̂₀ (1 − ᾱₜ = ${noise.toFixed(3)})`,
    guess: "x̂₀",
    draws: (steps) => `기울기로 ${group(steps)}번 고친 신경망의 표본`,
    memorizing: "학습 데이터에 대한 정확한 평균",
    network: "신경망",
    truth: "참 밀도에 대한 정확한 평균",
    density: "참 밀도 q(x₀)",
    drawn: "신경망의 표본 1,000개",
    points: "학습 데이터의 점",
    errors: (t) => `t = ${t}에서 x̂₀의 평균 제곱 오차`,
    columns: ["학습 데이터", "새 데이터"],
    gap: (memorizing, network) => `새 데이터에서 잰 평균 제곱 오차와 학습 데이터에서 잰 것의 차이는, 학습 데이터에 대한 정확한 평균에서 ${signed(memorizing, 4)}, 신경망에서 ${signed(network, 4)}입니다.`,
    describe: (values, at, { count }) => `t = ${values.t}, 학습 데이터의 점 ${count}개, 기울기로 ${values.frames[at].steps}번 고친 뒤의 평균 제곱 오차(학습 데이터, 새 데이터): ${words.ko.pairs(values, at)}.`,
    pairs: ({ errors, frames }, at) => `학습 데이터에 대한 정확한 평균 ${errors.memorizing.map((one) => one.toFixed(4)).join(", ")}, 신경망 ${frames[at].errors.map((one) => one.toFixed(4)).join(", ")}, 참 밀도에 대한 정확한 평균 ${errors.truth.map((one) => one.toFixed(4)).join(", ")}`,
  },
};

const FINER = 3; // places of the grid for one of the film's

// q(x_t), and mean and variance of q(x_0 | x_t), on a grid of x_t, if x_0 comes from Gaussians; those of a training set have no width.
function exact(grid, alphaBar, { shares, means, sds }) {
  const root = Math.sqrt(alphaBar);
  const wide = sds.map((sd) => alphaBar * sd * sd + 1 - alphaBar);
  const constant = shares.map((share, c) => Math.log(share) - 0.5 * Math.log(2 * Math.PI * wide[c]));
  const found = { density: [], mean: [], variance: [] };
  const logs = new Float64Array(means.length);
  for (const x of grid) {
    let most = -Infinity;
    for (let c = 0; c < logs.length; c += 1) {
      const away = x - root * means[c];
      logs[c] = constant[c] - (0.5 * away * away) / wide[c];
      if (logs[c] > most) most = logs[c];
    }
    let [all, first, second] = [0, 0, 0];
    for (let c = 0; c < logs.length; c += 1) {
      if (logs[c] < most - 40) continue; // a weight below 1e−17
      const weight = Math.exp(logs[c] - most);
      const share = (sds[c] * sds[c]) / wide[c];
      const mean = means[c] + root * share * (x - root * means[c]);
      all += weight;
      first += weight * mean;
      second += weight * (share * (1 - alphaBar) + mean * mean);
    }
    found.density.push(all * Math.exp(most));
    found.mean.push(first / all);
    found.variance.push(Math.max(second / all - (first / all) ** 2, 0));
  }
  return found;
}

const finer = (values) => linspace(0, values.length - 1, FINER * (values.length - 1) + 1).map((place) => {
  const at = Math.min(Math.floor(place), values.length - 2);
  return values[at] + (place - at) * (values[at + 1] - values[at]);
});

export function compute({ t }, { points, levels, alphaBar, shares, means, sds, edge, shown, frames }) {
  const level = levels.reduce((best, one, at) => (Math.abs(one - t) < Math.abs(levels[best] - t) ? at : best), 0);
  const grid = linspace(-edge, edge, FINER * (frames[0].clean[level].length - 1) + 1);
  const training = exact(grid, alphaBar[level], { shares: points.map(() => 1 / points.length), means: points, sds: points.map(() => 0) });
  const truth = exact(grid, alphaBar[level], { shares, means, sds });
  // The mean of ‖x_0 − x̂_0‖² over x_t: the variance of x_0 given x_t, and the squared distance of the guess from the mean.
  const errors = (guess) => [training, truth].map(({ density, mean, variance }) => {
    const squares = guess.map((one, at) => variance[at] + (one - mean[at]) ** 2);
    return integral(squares.map((one, at) => density[at] * one), grid[1] - grid[0]);
  });
  const clean = linspace(-shown, shown, 241);
  return {
    points, grid, shown, t: levels[level], noise: 1 - alphaBar[level], memorizing: training.mean, truth: truth.mean,
    density: exact(clean, 1, { shares, means, sds }).density.map((one, at) => [clean[at], one]),
    errors: { memorizing: errors(training.mean), truth: errors(truth.mean) },
    frames: frames.map((one) => {
      const guess = finer(one.clean[level]);
      return { steps: one.steps, guess, draws: one.draws, errors: errors(guess) };
    }),
  };
}

export function draw(picture, values, { frame, parameters: { count }, words: text }) {
  const { t } = values;
  const curve = (heights) => values.grid.map((x, at) => [x, heights[at]]);
  const [left, opacity] = [-3, count > 100 ? 0.15 : count > 10 ? 0.5 : 1];
  const guesses = picture.plot({ x: [left, 3], y: [-2.4, 3], title: text.guesses(t, values.noise), xLabel: "xₜ", yLabel: text.guess, height: 300 });
  if (count < 10) values.points.forEach((y) => guesses.rule({ y, color: "line", dash: "", thick: 1 }));
  guesses.points(values.points.map((y) => [left + 0.08, y]), { color: "signal", size: 3, opacity })
    .line(curve(values.truth), { color: "q", thick: 2.5 })
    .line(curve(values.memorizing), { color: "signal" })
    .line(curve(frame.guess), { color: "p", thick: 2.5 })
    .legend([[text.truth, "q"], [text.memorizing, "signal"], [text.network, "p"]], { left: true });
  const thick = (2 * values.shown) / frame.draws.length;
  picture.plot({ x: [-values.shown, values.shown], y: [0, 1.6], title: text.draws(frame.steps), xLabel: "x₀", yTicks: 4, height: 300 })
    .columns(frame.draws.map((value, at) => ({ x: -values.shown + (at + 0.5) * thick, value, color: "p" })), { thick, opacity: 0.45 })
    .line(values.density, { color: "q", thick: 2.5 })
    .points(values.points.map((x) => [x, 0.02]), { color: "signal", size: 3.5, opacity, shape: "triangle" })
    .legend([[text.drawn, "p"], [text.density, "q"], [text.points, "signal"]]);
  const rows = [values.errors.memorizing, frame.errors, values.errors.truth];
  picture.matrix({
    values: rows, rows: [text.memorizing, text.network, text.truth], columns: text.columns, title: text.errors(t), digits: 4, wide: true,
    marked: (i, j) => (rows.every((row) => rows[i][j] <= row[j]) ? "marked" : ""),
  });
  const gap = ([training, fresh]) => fresh - training;
  picture.say(text.gap(gap(values.errors.memorizing), gap(frame.errors)), "p");
}
