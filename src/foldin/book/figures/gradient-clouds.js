// Two unbiased estimates of the gradient of E[f(z)], z ~ N(μ, σ²): with the score function, and reparameterized.

import { linspace, mean, normal, random, sum } from "./math.js";

export const name = "gradient-clouds";

export const parameters = [
  { name: "f", options: ["square", "log-odds", "waves"], start: "square" },
  { name: "baseline", options: ["none", "mean", "best"], start: "none" },
  { name: "mu", min: -3, max: 3, step: 0.1, start: 1 },
  { name: "sigma", min: 0.1, max: 2, step: 0.05, start: 1 },
  { name: "draws", min: 1, max: 40, step: 1, start: 4 },
];

export const right = 1;

const show = (value) => value.toFixed(Math.abs(value) < 1000 ? 2 : 0).replace(/^-(?=0\.?0*$)/, "").replace("-", "−");

export const words = {
  en: {
    title: "two clouds of estimates around one gradient",
    f: "The function f",
    baseline: "Baseline b of the score function",
    mu: "Mean μ",
    sigma: "Standard deviation σ",
    draws: "Draws z for each estimate, S",
    options: {
      f: { square: "z²", "log-odds": "log p(x = 1 | z), logit z", waves: "waves: sin(5z)" },
      baseline: { none: "none, b = 0", mean: "b = mean of f(z)", best: "the best b for μ" },
    },
    question: "For z² the reparameterized estimates are closer to the true gradient. For which f is it the other way around?",
    choices: ["For none: to know the slope is to know more", "For one with steep, fast waves", "For one that is far away from zero"],
    because: "Across fast waves the slope is large and changes its sign from draw to draw, while f itself stays small. A large constant in f has the opposite effect: it makes the score-function cloud wider, and the slope does not see it.",
    functions: "f(z), and where z is drawn",
    q: "density of z (no scale)",
    level: "baseline b",
    score: "Score function",
    reparameterized: "Reparameterization",
    byMu: "estimate of ∂/∂μ",
    byLog: "estimate of ∂/∂log σ",
    truth: "dashed: true gradient",
    sds: "Standard deviation of one estimate, and the true gradient",
    gradient: "true gradient of E[f(z)]",
    told: (values) => values.ratio >= 1
      ? `For the same standard error in μ the score function needs ${show(values.ratio)} times as many draws as reparameterization.`
      : `For the same standard error in μ reparameterization needs ${show(1 / values.ratio)} times as many draws as the score function.`,
    describe: (values, _, parameters) => `The true gradient is ${show(values.truth[0])} in μ and ${show(values.truth[1])} in log σ. With S = ${parameters.draws}, estimates have the standard deviations ${values.score.sd.map((one) => show(one)).join(" and ")} by the score function, and ${values.reparameterized.sd.map((one) => show(one)).join(" and ")} by reparameterization.`,
  },
  ko: {
    title: "하나의 기울기를 둘러싼 두 추정값의 구름",
    f: "함수 f",
    baseline: "점수 함수의 기준선 b",
    mu: "평균 μ",
    sigma: "표준편차 σ",
    draws: "추정값 하나에 쓰는 표본의 수 S",
    options: {
      f: { square: "z²", "log-odds": "log p(x = 1 | z), 로짓 z", waves: "물결: sin(5z)" },
      baseline: { none: "없음, b = 0", mean: "b = f(z)의 평균", best: "μ에 가장 좋은 b" },
    },
    question: "f가 z²이면 재매개변수화로 구한 추정값이 참 기울기에 더 가깝습니다. 거꾸로 점수 함수 쪽이 더 가까운 f는 어떤 것일까요?",
    choices: ["그런 f는 없다. 경사를 쓰면 더 많이 아는 것이다", "가파르고 빠르게 출렁이는 f", "0에서 멀리 떨어진 f"],
    because: "f가 빠르게 출렁이면 f 자체는 작은데 경사는 크고, 표본마다 부호가 바뀝니다. f에 큰 상수가 더해지면 반대입니다. 점수 함수의 구름은 넓어지지만 경사에는 상수가 나타나지 않습니다.",
    functions: "f(z)와 z를 뽑는 곳",
    q: "z의 밀도(눈금 없음)",
    level: "기준선 b",
    score: "점수 함수",
    reparameterized: "재매개변수화",
    byMu: "∂/∂μ의 추정값",
    byLog: "∂/∂log σ의 추정값",
    truth: "점선: 참 기울기",
    sds: "추정값 하나의 표준편차와 참 기울기",
    gradient: "E[f(z)]의 참 기울기",
    told: (values) => values.ratio >= 1
      ? `μ에 대한 표준오차가 같아지려면 점수 함수에는 재매개변수화의 ${show(values.ratio)}배만큼 표본이 필요합니다.`
      : `μ에 대한 표준오차가 같아지려면 재매개변수화에는 점수 함수의 ${show(1 / values.ratio)}배만큼 표본이 필요합니다.`,
    describe: (values, _, parameters) => `참 기울기는 μ에 대해 ${show(values.truth[0])}, log σ에 대해 ${show(values.truth[1])}입니다. S = ${parameters.draws}일 때 추정값의 표준편차는 점수 함수로는 ${values.score.sd.map((one) => show(one)).join(", ")}, 재매개변수화로는 ${values.reparameterized.sd.map((one) => show(one)).join(", ")}입니다.`,
  },
};

const FUNCTIONS = {
  square: { f: (z) => z * z, slope: (z) => 2 * z, reach: [-4, 20] },
  "log-odds": { f: (z) => -Math.max(-z, 0) - Math.log1p(Math.exp(-Math.abs(z))), slope: (z) => 1 / (1 + Math.exp(z)), reach: [-5.5, 0.8] },
  waves: { f: (z) => Math.sin(5 * z), slope: (z) => 5 * Math.cos(5 * z), reach: [-2, 1.6] },
};
const NOISE = linspace(-8, 8, 801);
const WEIGHTS = NOISE.map((epsilon) => normal(epsilon) * (NOISE[1] - NOISE[0]));
const expected = (of) => sum(NOISE.map((epsilon, at) => WEIGHTS[at] * of(epsilon)));

// The noise of 200 estimates with up to 40 draws each: always the same, so that only the parameters move a cloud.
const drawn = random(4);
const EPSILONS = Array.from({ length: 200 }, () => Array.from({ length: 40 }, drawn.gaussian));

export function compute({ f: which, baseline, mu, sigma, draws }) {
  const { f, slope } = FUNCTIONS[which];
  const scores = [(epsilon) => epsilon / sigma, (epsilon) => epsilon * epsilon - 1]; // ∇ log q in μ and in log σ
  const z = (epsilon) => mu + sigma * epsilon;
  const b = {
    none: 0,
    mean: expected((epsilon) => f(z(epsilon))),
    best: expected((epsilon) => f(z(epsilon)) * epsilon * epsilon), // E[f · score²] / E[score²]
  }[baseline];
  const estimators = {
    plain: scores.map((score) => (epsilon) => f(z(epsilon)) * score(epsilon)),
    score: scores.map((score) => (epsilon) => (f(z(epsilon)) - b) * score(epsilon)),
    reparameterized: [(epsilon) => slope(z(epsilon)), (epsilon) => slope(z(epsilon)) * sigma * epsilon],
  };
  const truth = estimators.reparameterized.map(expected);
  const spread = (of, at) => Math.sqrt(expected((epsilon) => (of(epsilon) - truth[at]) ** 2)); // the standard deviation of one draw
  const made = Object.fromEntries(["score", "reparameterized"].map((one) => [one, {
    sd: estimators[one].map((of, at) => spread(of, at) / Math.sqrt(draws)),
    cloud: EPSILONS.map((epsilons) => estimators[one].map((of) => mean(epsilons.slice(0, draws).map(of)))),
  }]));
  const reach = truth.map((_, at) => 1.5 * Math.max(spread(estimators.plain[at], at), spread(estimators.reparameterized[at], at)));
  const grid = linspace(-5, 5, 501);
  const ratio = (made.score.sd[0] / made.reparameterized.sd[0]) ** 2;
  return { ...made, truth, b, reach, ratio, grid, f: grid.map(f), q: grid.map((one) => normal(one, mu, sigma)) };
}

export function draw(picture, values, { parameters: { f, mu, baseline }, words: text, set }) {
  const [low, high] = FUNCTIONS[f].reach;
  const hill = values.grid.map((z, at) => [z, low + (0.25 * (high - low) * values.q[at]) / Math.max(...values.q)]);
  const plot = picture.plot({ x: [-5, 5], y: [low, high], title: text.functions, xLabel: "z" })
    .area(hill, { color: "q", base: low })
    .line(values.grid.map((z, at) => [z, values.f[at]]), { color: "reconstruction" })
    .legend([["f(z)", "reconstruction"], [text.q, "q"], ...(baseline === "none" ? [] : [[text.level, "quiet"]])]);
  if (baseline !== "none") plot.rule({ y: values.b });
  plot.handle([mu, low + 0.25 * (high - low)], ([z]) => set({ mu: z }), { color: "q" });
  picture.matrix({
    title: text.sds, rows: [text.score, text.reparameterized, text.gradient], columns: ["∂/∂μ", "∂/∂log σ"],
    values: [values.score.sd, values.reparameterized.sd, values.truth],
  });
  for (const [one, color] of [["score", "p"], ["reparameterized", "elbo"]]) {
    const [x, y] = values.truth.map((middle, at) => [middle - values.reach[at], middle + values.reach[at]]);
    picture.plot({ x, y, title: text[one], xLabel: text.byMu, yLabel: text.byLog })
      .points(values[one].cloud, { color, size: 2.2, opacity: 0.5 })
      .rule({ x: values.truth[0], color: "text" }).rule({ y: values.truth[1], color: "text" })
      .legend([[text.truth, "text"]]);
  }
  picture.say(text.told(values), values.ratio >= 1 ? "elbo" : "p");
}
