// q(x_{t−1} | x_t, x_0) as the normalized product of two Gaussians in x_{t−1}: by the closed form, and by summing over a grid.

import { alphaBar } from "./forward-noise.js";
import { integral, linspace, normalLog } from "./math.js";

export const name = "posterior-product";

const STEPS = 40;

export const parameters = [
  { name: "x0", min: -2, max: 2, step: 0.05, start: -1 },
  { name: "xt", min: -3, max: 3, step: 0.05, start: 1 },
  { name: "t", min: 2, max: STEPS, step: 1, start: 12 },
];

export const right = 1;

const shown = (value, digits = 3) => value.toFixed(digits).replace(/^-(?=0\.?0*$)/, "").replace("-", "−");

export const words = {
  en: {
    title: "one step back, as a product of two Gaussians",
    x0: "Data x₀",
    xt: "Noisy data xₜ",
    t: "Step t (of a linear schedule of 40 steps)",
    question: "Move xₜ far away from where x₀ lets you expect it. What happens to the variance of xₜ₋₁ given both?",
    choices: ["It grows: the two contradict each other", "It stays the same", "It shrinks"],
    because: "Precisions add up wherever the two curves are: neither x₀ nor xₜ is in 1/β̃ₜ. What a contradiction makes small is the area under the product, q(xₜ | x₀), and that is divided out.",
    densities: "Three functions of xₜ₋₁",
    likelihood: "q(xₜ | xₜ₋₁)",
    prior: "q(xₜ₋₁ | x₀)",
    product: "normalized product, q(xₜ₋₁ | xₜ, x₀)",
    compared: "The product's mean and variance",
    mean: "mean",
    variance: "variance",
    closed: "closed form, μ̃ₜ and β̃ₜ",
    quadrature: "from the product, on a grid",
    precisions: "Precisions (one over variance) add up",
    sum: "of the two factors",
    measured: "of the product, on a grid",
    fromStep: "αₜ/βₜ",
    fromData: "1/(1 − ᾱₜ₋₁)",
    ofProduct: "1/β̃ₜ",
    weights: (values) => `μ̃ₜ = ${shown(values.weights.xt)} xₜ + ${shown(values.weights.x0)} x₀`,
    area: (values) => `The area under the product before it is normalized has logarithm ${shown(values.logArea)} nats, and log q(xₜ | x₀) is ${shown(values.logMarginal)} nats.`,
    describe: (values, _, { x0, xt, t }) => `At step ${t}, with data ${shown(x0, 2)} and noisy data ${shown(xt, 2)}, the product has mean ${shown(values.closed.mean)} and variance ${shown(values.closed.variance)}; the precisions ${shown(values.precisions.step)} and ${shown(values.precisions.data)} add up to ${shown(1 / values.closed.variance)}.`,
  },
  ko: {
    title: "한 단계 뒤로: 두 가우스 함수의 곱",
    x0: "데이터 x₀",
    xt: "잡음 섞인 데이터 xₜ",
    t: "단계 t (40단계 선형 스케줄)",
    question: "x₀에서 예상되는 곳보다 훨씬 먼 곳으로 xₜ를 옮기면, 둘이 모두 주어졌을 때 xₜ₋₁의 분산은 어떻게 될까요?",
    choices: ["커진다. 둘이 서로 어긋나기 때문이다", "변하지 않는다", "작아진다"],
    because: "두 곡선이 어디에 있든 정밀도는 그대로 더해집니다. 1/β̃ₜ에는 x₀도 xₜ도 들어 있지 않습니다. 둘이 어긋날 때 작아지는 것은 곱 아래의 넓이 q(xₜ | x₀)이고, 정규화할 때 이것으로 나눕니다.",
    densities: "xₜ₋₁에 대한 세 함수",
    likelihood: "q(xₜ | xₜ₋₁)",
    prior: "q(xₜ₋₁ | x₀)",
    product: "정규화한 곱 q(xₜ₋₁ | xₜ, x₀)",
    compared: "곱의 평균과 분산",
    mean: "평균",
    variance: "분산",
    closed: "닫힌 형태(μ̃ₜ와 β̃ₜ)",
    quadrature: "곱에서 수치 적분으로",
    precisions: "정밀도(분산의 역수)의 합",
    sum: "두 인수의 정밀도",
    measured: "곱의 정밀도(수치 적분)",
    fromStep: "αₜ/βₜ",
    fromData: "1/(1 − ᾱₜ₋₁)",
    ofProduct: "1/β̃ₜ",
    weights: (values) => `μ̃ₜ = ${shown(values.weights.xt)} xₜ + ${shown(values.weights.x0)} x₀`,
    area: (values) => `정규화하기 전 곱 아래의 넓이는 로그로 ${shown(values.logArea)} nat이고, log q(xₜ | x₀)은 ${shown(values.logMarginal)} nat입니다.`,
    describe: (values, _, { x0, xt, t }) => `${t}단계에서 데이터가 ${shown(x0, 2)}, 잡음 섞인 데이터가 ${shown(xt, 2)}일 때 곱의 평균은 ${shown(values.closed.mean)}, 분산은 ${shown(values.closed.variance)}입니다. 두 정밀도 ${shown(values.precisions.step)}, ${shown(values.precisions.data)}의 합은 ${shown(1 / values.closed.variance)}입니다.`,
  },
};

export function compute({ x0, xt, t }) {
  const bars = alphaBar("linear", STEPS);
  const [before, now] = [bars[t - 1], bars[t]];
  const alpha = now / before;
  const beta = 1 - alpha;
  const precisions = { step: alpha / beta, data: 1 / (1 - before) };
  const weights = { xt: (Math.sqrt(alpha) * (1 - before)) / (1 - now), x0: (Math.sqrt(before) * beta) / (1 - now) };
  const closed = { mean: weights.xt * xt + weights.x0 * x0, variance: (beta * (1 - before)) / (1 - now) };
  // The product on a grid, with no use of the closed form. In logarithms: it can be smaller than the smallest number.
  const fine = linspace(-8, 8, 3201);
  const width = 16 / 3200;
  const ofStep = (x) => normalLog(xt, Math.sqrt(alpha) * x, Math.sqrt(beta));
  const ofData = (x) => normalLog(x, Math.sqrt(before) * x0, Math.sqrt(1 - before));
  const logs = fine.map((x) => ofStep(x) + ofData(x));
  const most = Math.max(...logs);
  const heights = logs.map((one) => Math.exp(one - most));
  const area = integral(heights, width);
  const mean = integral(fine.map((x, at) => (x * heights[at]) / area), width);
  const variance = integral(fine.map((x, at) => ((x - mean) ** 2 * heights[at]) / area), width);
  const inside = fine.map((_, at) => at).filter((at) => Math.abs(fine[at]) <= 4.5);
  return {
    grid: inside.map((at) => fine[at]),
    step: inside.map((at) => Math.exp(ofStep(fine[at]))),
    data: inside.map((at) => Math.exp(ofData(fine[at]))),
    product: inside.map((at) => heights[at] / area),
    precisions, weights, closed, quadrature: { mean, variance },
    logArea: most + Math.log(area), logMarginal: normalLog(xt, Math.sqrt(now) * x0, Math.sqrt(1 - now)),
  };
}

export function draw(picture, values, { parameters: { x0, xt }, words: text, set }) {
  const curve = (heights) => values.grid.map((x, at) => [x, heights[at]]);
  const top = 1.1 * Math.max(...values.step, ...values.data, ...values.product);
  const strip = -0.07 * top; // under the curves: the two that are given
  picture.plot({ x: [-4.5, 4.5], y: [2 * strip, top], title: text.densities, xLabel: "xₜ₋₁", wide: true, width: 640, height: 290 })
    .rule({ y: 0, color: "line", dash: "" })
    .line(curve(values.step), { color: "reconstruction" }).line(curve(values.data), { color: "signal" })
    .area(curve(values.product), { color: "q" }).line(curve(values.product), { color: "q" })
    .rule({ x: values.closed.mean, color: "q", dash: "2 3", thick: 1 })
    .legend([[text.product, "q"], [text.likelihood, "reconstruction"], [text.prior, "signal"]])
    .handle([x0, strip], ([x]) => set({ x0: x }), { color: "signal" }).text([x0, strip], "x₀", { color: "signal", anchor: "end", dx: -12, dy: 4 })
    .handle([xt, strip], ([x]) => set({ xt: x }), { color: "reconstruction" }).text([xt, strip], "xₜ", { color: "reconstruction", dx: 12, dy: 4 });
  picture.matrix({
    title: text.compared, rows: [text.closed, text.quadrature], columns: [text.mean, text.variance], digits: 4, most: Infinity,
    values: [values.closed, values.quadrature].map((one) => [one.mean, one.variance]),
  });
  const total = values.precisions.step + values.precisions.data;
  picture.bars({
    title: text.precisions, wide: false, to: 1.05 * total,
    rows: [
      { label: text.sum, parts: [
        { value: values.precisions.step, color: "reconstruction", label: text.fromStep },
        { value: values.precisions.data, color: "signal", label: text.fromData },
      ] },
      { label: text.measured, parts: [{ value: 1 / values.quadrature.variance, color: "q", label: text.ofProduct }] },
    ],
  });
  picture.say(text.weights(values), "q");
  picture.say(text.area(values), "information");
}
