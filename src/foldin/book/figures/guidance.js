// Classifier-free guidance in one dimension: two classes, the density that guidance leans to at a noise level, and what the sampler gives.

import { integral, linspace, logSumExp, normal, normalLog, sum } from "./math.js";
import { ALPHA_BAR, ddim, denoiser, evenly } from "./sampler-paths.js";

export const name = "guidance";

export const parameters = [
  { name: "weight", min: 0, max: 8, step: 0.25, start: 0 },
  { name: "separation", min: 0, max: 4, step: 0.1, start: 3 },
  { name: "t", min: 0, max: 1000, step: 50, start: 400 },
];

export const right = 2;

export const words = {
  en: {
    title: "guidance away from the other class",
    weight: "Strength of guidance w_c",
    separation: "Distance of the means of the two classes",
    t: "Noise level t of the left picture",
    question: "The classes are so far apart that q(c | x₀) is 1 for practically all data of class c. What does guidance do to the samples of class c?",
    choices: ["Nothing: q(x₀ | c) · q(c | x₀)^w_c is q(x₀ | c) itself", "It draws them closer together, around the mean of the class", "It moves them away from the other class, and closer together"],
    because: "Noisy classes overlap. At large t guidance pushes every point away from the other class. Near the data the pushing stops, but a point keeps its quantile: the samples end in the outer part of the class.",
    level: (t) => `Densities at t = ${t}`,
    end: "Densities at t = 0",
    mixed: "q(xₜ), both classes",
    given: "q(xₜ | c)",
    guided: "guided density",
    noised: "- - that of t = 0, noise added",
    clean: "q(x₀ | c)",
    came: "what the sampler gives",
    table: "The right picture in numbers",
    columns: ["mean", "standard deviation"],
    gap: (values) => `The guided density is q(xₜ | c)^(1 + w_c) / q(xₜ)^w_c, normalized. At t = ${values.t}, ${(100 * values.gap).toFixed(1)} % of its mass would have to be moved to make it the guided density of t = 0 with noise added.`,
    describe: (values, _, { weight, separation }) => `With w_c ${weight} and class means ${separation} apart, class c has mean ${values.clean.mean.toFixed(2)} and standard deviation ${values.clean.sd.toFixed(2)}, the guided density at t = 0 has ${values.guided0.mean.toFixed(2)} and ${values.guided0.sd.toFixed(2)}, and the guided sampler gives ${values.came.mean.toFixed(2)} and ${values.came.sd.toFixed(2)}.`,
  },
  ko: {
    title: "다른 클래스에서 멀어지는 가이던스",
    weight: "가이던스의 세기 w_c",
    separation: "두 클래스의 평균 사이의 거리",
    t: "왼쪽 그림의 잡음 수준 t",
    question: "두 클래스가 아주 멀어서, 클래스 c의 데이터에서는 거의 언제나 q(c | x₀) = 1입니다. 가이던스는 클래스 c의 표본을 어떻게 바꿀까요?",
    choices: ["바꾸지 않는다. q(x₀ | c) · q(c | x₀)^w_c가 바로 q(x₀ | c)이므로", "클래스의 평균 둘레로 더 모은다", "다른 클래스에서 더 멀어지고, 더 모이게 한다"],
    because: "잡음이 섞이면 두 클래스는 겹칩니다. t가 클 때 가이던스는 모든 점을 다른 클래스에서 밀어냅니다. 데이터 가까이에서는 더 밀지 않지만 점은 자기 분위수를 지키므로, 표본은 클래스의 바깥쪽에 남습니다.",
    level: (t) => `t = ${t}에서의 밀도`,
    end: "t = 0에서의 밀도",
    mixed: "q(xₜ), 두 클래스 모두",
    given: "q(xₜ | c)",
    guided: "가이던스의 밀도",
    noised: "- - t = 0의 것에 잡음을 더한 밀도",
    clean: "q(x₀ | c)",
    came: "실제로 나오는 표본",
    table: "오른쪽 그림의 수",
    columns: ["평균", "표준편차"],
    gap: (values) => `가이던스의 밀도는 q(xₜ | c)^(1 + w_c) / q(xₜ)^w_c를 정규화한 것입니다. t = ${values.t}에서 이것을, t = 0의 가이던스 밀도에 잡음을 더한 밀도로 만들려면 확률의 ${(100 * values.gap).toFixed(1)} %를 옮겨야 합니다.`,
    describe: (values, _, { weight, separation }) => `w_c가 ${weight}이고 두 클래스의 평균이 ${separation}만큼 떨어져 있습니다. 클래스 c는 평균 ${values.clean.mean.toFixed(2)}, 표준편차 ${values.clean.sd.toFixed(2)}, t = 0의 가이던스 밀도는 평균 ${values.guided0.mean.toFixed(2)}, 표준편차 ${values.guided0.sd.toFixed(2)}, 가이던스로 뽑은 표본은 평균 ${values.came.mean.toFixed(2)}, 표준편차 ${values.came.sd.toFixed(2)}입니다.`,
  },
};

const SD = 0.5; // of each class at t = 0; the means are ±separation / 2, and c is the class on the right
const GRID = linspace(-6, 6, 201);
const WIDTH = GRID[1] - GRID[0];
const START = linspace(-4, 4, 121); // x_T. Without noise on the way the sampler is a function of it, so that a grid does for draws.
const WEIGHTS = START.map((x) => normal(x));
const STEPS = evenly(200);

const moments = (x, weights) => {
  const all = sum(weights);
  const mean = sum(x.map((one, at) => one * weights[at])) / all;
  return { mean, sd: Math.sqrt(sum(x.map((one, at) => (one - mean) ** 2 * weights[at])) / all) };
};

// q(xₜ | c), q(xₜ) and the guided density, which is also proportional to q(xₜ | c) q(c | xₜ)^w.
function densities(alphaBar, weight, separation) {
  const [mu, sigma] = [(Math.sqrt(alphaBar) * separation) / 2, Math.sqrt(alphaBar * SD * SD + 1 - alphaBar)];
  const logs = GRID.map((x) => [normalLog(x, mu, sigma), normalLog(x, -mu, sigma)]);
  const unnormalized = logs.map((both) => both[0] + weight * (both[0] - logSumExp(both)));
  const most = Math.max(...unnormalized);
  const heights = unnormalized.map((one) => Math.exp(one - most));
  const area = integral(heights, WIDTH);
  return {
    given: logs.map((both) => Math.exp(both[0])),
    mixed: logs.map(([one, other]) => (Math.exp(one) + Math.exp(other)) / 2),
    guided: heights.map((one) => one / area),
  };
}

// The density of √ᾱ x₀ + √(1 − ᾱ) ε. Its noise must be wide beside the grid, as it is for t ≥ 50.
function noisy(density, alphaBar) {
  const [root, sigma] = [Math.sqrt(alphaBar), Math.sqrt(1 - alphaBar)];
  const scale = WIDTH / (sigma * Math.sqrt(2 * Math.PI));
  return GRID.map((x) => {
    let all = 0;
    for (let at = 0; at < GRID.length; at += 1) all += density[at] * Math.exp(-0.5 * ((x - root * GRID[at]) / sigma) ** 2);
    return scale * all;
  });
}

export function compute({ weight, separation, t: asked }) {
  const t = 50 * Math.round(asked / 50);
  const at0 = densities(1, weight, separation);
  const now = t ? densities(ALPHA_BAR[t], weight, separation) : at0;
  const noised = t ? noisy(at0.guided, ALPHA_BAR[t]) : at0.guided;
  const one = (low) => denoiser({ means: [low, separation / 2], share: 0.5, sd: SD });
  const [conditional, unconditional] = [one(separation / 2), one(-separation / 2)];
  const path = ddim((x, a) => (1 + weight) * conditional(x, a) - weight * unconditional(x, a), START, STEPS);
  const ends = path[path.length - 1];
  const slope = ends.map((_, at) => {
    const [before, after] = [Math.max(at - 1, 0), Math.min(at + 1, ends.length - 1)];
    return (ends[after] - ends[before]) / (START[after] - START[before]);
  });
  return {
    t, grid: GRID, ...now, noised, at0, start: START, ends, density: WEIGHTS.map((height, at) => height / Math.max(slope[at], 1e-6)),
    gap: 0.5 * integral(now.guided.map((height, at) => Math.abs(height - noised[at])), WIDTH),
    clean: { mean: separation / 2, sd: SD }, guided0: moments(GRID, at0.guided), came: moments(ends, WEIGHTS),
  };
}

export function draw(picture, values, { words: text }) {
  const curve = (heights) => values.grid.map((x, at) => [x, heights[at]]);
  picture.plot({ x: [-4.5, 4.5], y: [0, 1.4], title: text.level(values.t), xLabel: "xₜ" })
    .area(curve(values.mixed), { color: "data" }).line(curve(values.mixed), { color: "data" })
    .line(curve(values.given), { color: "q" })
    .line(curve(values.guided), { color: "p", thick: 2.5 })
    .line(curve(values.noised), { color: "p", dash: "5 4" })
    .legend([[text.mixed, "data"], [text.given, "q"], [text.guided, "p"], [text.noised, "p"]], { left: true });
  const came = values.ends.map((x, at) => [x, values.density[at]]);
  picture.plot({ x: [-4.5, 4.5], y: [0, 2], title: text.end, xLabel: "x₀" })
    .line(curve(values.at0.given), { color: "q" })
    .line(curve(values.at0.guided), { color: "p", thick: 2.5 })
    .area(came, { color: "information" }).line(came, { color: "information", thick: 2.5 })
    .legend([[text.clean, "q"], [text.guided, "p"], [text.came, "information"]], { left: true });
  const rows = [[text.clean, values.clean], [text.guided, values.guided0], [text.came, values.came]];
  picture.matrix({
    values: rows.map(([, { mean, sd }]) => [mean, sd]), rows: rows.map(([label]) => label),
    columns: text.columns, title: text.table, most: Infinity, wide: true,
  });
  picture.say(text.gap(values), "p");
}
