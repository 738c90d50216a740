// The ELBO of a Gaussian q for one number with a known posterior: what is missing to log p(x) is the KL of q from the posterior.

import { integral, linspace, normal, normalLog, sum } from "./math.js";

export const name = "elbo-gap";

export const parameters = [
  { name: "mu", min: -5, max: 5, step: 0.05, start: 0.5 },
  { name: "sigma", min: 0.2, max: 3, step: 0.05, start: 0.8 },
  { name: "taken", min: 0, max: 10, step: 1, start: 5 },
  { name: "passed", min: 0, max: 10, step: 1, start: 0 },
];

export const right = 1;

const show = (value, digits = 3) => value.toFixed(digits).replace(/^-(?=0\.?0*$)/, "").replace("-", "−");

export const words = {
  en: {
    title: "the ELBO, log p(x), and the gap between them",
    mu: "Mean μ of q",
    sigma: "Standard deviation σ of q",
    taken: "Shows in which the item was taken",
    passed: "Shows in which it was not",
    question: "Give q the mean and the standard deviation that make the gap smallest. Then halve σ, and then double it instead. In which case is the gap larger?",
    choices: ["With half the σ", "With twice the σ", "It is the same in both"],
    because: "The gap is an expectation under q. A wide q is often where the posterior has almost no probability, and log(q/p) is large there. A narrow q only leaves something out. Even the best q leaves a small gap once the item was shown, because the posterior is then no Gaussian.",
    densities: "z, the log odds of taking the item",
    q: "q(z)",
    p: "posterior p(z | x)",
    bounds: "The ELBO over μ, at this σ",
    nats: "nats",
    elbo: "ELBO",
    evidence: "log p(x)",
    kl: "KL(q(z) ‖ p(z | x))",
    total: (values) => `log p(x) = ELBO + KL(q(z) ‖ p(z | x)): ${show(values.evidence)} = ${show(values.elbo)} + ${show(values.kl)} nats.`,
    best: (values) => `The best Gaussian has the mean ${show(values.best.mu, 2)} and the standard deviation ${show(values.best.sigma, 2)}. Its ELBO is ${show(values.best.gap, 4)} nats below log p(x).`,
    describe: (values, _, { mu, sigma, taken, passed }) => `The item was taken in ${taken} of ${taken + passed} shows. With mean ${show(mu, 2)} and standard deviation ${show(sigma, 2)} of q, the ELBO is ${show(values.elbo)} nats, log p(x) is ${show(values.evidence)} nats, and the gap, the KL of q from the posterior, is ${show(values.kl)} nats.`,
  },
  ko: {
    title: "ELBO와 log p(x), 그 사이의 간격",
    mu: "q의 평균 μ",
    sigma: "q의 표준편차 σ",
    taken: "아이템이 선택된 노출의 수",
    passed: "선택되지 않은 노출의 수",
    question: "간격이 가장 작아지도록 q의 평균과 표준편차를 정합니다. 거기서 σ를 절반으로 줄일 때와 두 배로 늘릴 때, 간격은 어느 쪽이 더 클까요?",
    choices: ["절반으로 줄일 때", "두 배로 늘릴 때", "둘이 똑같다"],
    because: "간격은 q에 대한 기댓값입니다. q가 너무 넓으면 사후분포의 확률이 거의 없는 곳까지 걸쳐 있고, 그런 곳에서는 log(q/p)가 큽니다. 좁은 q는 일부를 빠뜨릴 뿐입니다. 아이템이 한 번이라도 노출되었다면 사후분포가 가우스 분포가 아니므로, 가장 좋은 q에도 작은 간격이 남습니다.",
    densities: "z, 아이템을 선택할 확률의 로짓",
    q: "q(z)",
    p: "사후분포 p(z | x)",
    bounds: "지금 σ에서, μ에 따른 ELBO",
    nats: "nat",
    elbo: "ELBO",
    evidence: "log p(x)",
    kl: "KL(q(z) ‖ p(z | x))",
    total: (values) => `log p(x) = ELBO + KL(q(z) ‖ p(z | x)): ${show(values.evidence)} = ${show(values.elbo)} + ${show(values.kl)} nat.`,
    best: (values) => `가장 좋은 가우스 분포는 평균이 ${show(values.best.mu, 2)}, 표준편차가 ${show(values.best.sigma, 2)}입니다. 그 ELBO는 log p(x)보다 ${show(values.best.gap, 4)} nat 작습니다.`,
    describe: (values, _, { mu, sigma, taken, passed }) => `노출 ${taken + passed}번 가운데 ${taken}번 선택되었습니다. q의 평균이 ${show(mu, 2)}, 표준편차가 ${show(sigma, 2)}일 때 ELBO는 ${show(values.elbo)} nat, log p(x)는 ${show(values.evidence)} nat이고, 그 간격인 q와 사후분포 사이의 KL은 ${show(values.kl)} nat입니다.`,
  },
};

const PRIOR = 2; // standard deviation of p(z)
const MU = [parameters[0].min, parameters[0].max];
const sigmoid = (z) => 1 / (1 + Math.exp(-z));
const logSigmoid = (z) => Math.min(z, 0) - Math.log1p(Math.exp(-Math.abs(z)));

// Expectations under q, with z = μ + σε, on an even grid of ε.
const EPSILON = linspace(-8, 8, 129);
const WEIGHTS = EPSILON.map((one) => normal(one) * (EPSILON[1] - EPSILON[0]));
const expected = (f, mu, sigma) => sum(EPSILON.map((one, at) => WEIGHTS[at] * f(mu + sigma * one)));

// E_q[log p(x, z)] + H(q)
function bound(mu, sigma, likelihood) {
  const prior = normalLog(mu, 0, PRIOR) - (sigma * sigma) / (2 * PRIOR * PRIOR);
  return expected(likelihood, mu, sigma) + prior + 0.5 * Math.log(2 * Math.PI * Math.E * sigma * sigma);
}

// The mean by Newton's method; and the best variance is one over the mean of minus the second derivative of log p(x, z).
function fitted(taken, shown) {
  let [mu, sigma] = [0, 1];
  for (let step = 0; step < 40; step += 1) {
    const slope = taken - shown * expected(sigmoid, mu, sigma) - mu / PRIOR ** 2;
    const curvature = shown * expected((z) => sigmoid(z) * sigmoid(-z), mu, sigma) + 1 / PRIOR ** 2;
    [mu, sigma] = [mu + slope / curvature, 1 / Math.sqrt(curvature)];
  }
  return { mu, sigma };
}

export function compute({ mu, sigma, taken, passed }) {
  const likelihood = (z) => taken * logSigmoid(z) + passed * logSigmoid(-z); // log p(x | z)
  const wide = linspace(-24, 24, 961);
  const width = wide[1] - wide[0];
  const evidence = Math.log(integral(wide.map((z) => Math.exp(likelihood(z) + normalLog(z, 0, PRIOR))), width));
  const posterior = (z) => likelihood(z) + normalLog(z, 0, PRIOR) - evidence; // log p(z | x)
  const kl = integral(wide.map((z) => normal(z, mu, sigma) * (normalLog(z, mu, sigma) - posterior(z))), width);
  const means = linspace(...MU, 101);
  const best = fitted(taken, taken + passed);
  best.gap = Math.max(evidence - bound(best.mu, best.sigma, likelihood), 0);
  const grid = wide.filter((z) => Math.abs(z) < 8.01);
  return {
    evidence, elbo: bound(mu, sigma, likelihood), kl, best, grid, q: grid.map((z) => normal(z, mu, sigma)), p: grid.map((z) => Math.exp(posterior(z))),
    means, elbos: means.map((one) => bound(one, sigma, likelihood)),
  };
}

export function draw(picture, values, { parameters: { mu, sigma }, words: text, answered, set }) {
  const { evidence, elbo, grid, means } = values;
  const curve = (heights) => grid.map((z, at) => [z, heights[at]]);
  const top = 1.2 * Math.max(0.4, normal(mu, mu, sigma), ...values.p);
  picture.plot({ x: [-8, 8], y: [0, top], title: text.densities, xLabel: "z" })
    .area(curve(values.p), { color: "p" }).line(curve(values.p), { color: "p" })
    .area(curve(values.q), { color: "q" }).line(curve(values.q), { color: "q" })
    .legend([[text.q, "q"], [text.p, "p"]])
    .handle([mu, normal(mu, mu, sigma)], ([z]) => set({ mu: z }), { color: "q" })
    .handle([mu + sigma, normal(mu + sigma, mu, sigma)], ([z]) => set({ sigma: z - mu }), { color: "q" });

  const [low, high] = [evidence - 4, evidence + 1];
  const bounds = means.map((one, at) => [one, values.elbos[at]]);
  const shown = Math.max(elbo, low);
  picture.plot({ x: MU, y: [low, high], title: text.bounds, xLabel: "μ", yLabel: text.nats })
    .area(bounds, { color: "kl", opacity: 0.15, base: evidence })
    .line([[MU[0], evidence], [MU[1], evidence]], { color: "text" })
    .line(bounds, { color: "elbo" })
    .line([[mu, shown], [mu, evidence]], { color: "kl", thick: 4 })
    .text([MU[0], evidence], text.evidence, { dx: 4, dy: -5 })
    .legend([[text.elbo, "elbo"], [text.kl, "kl"]])
    .handle([mu, shown], ([one]) => set({ mu: one }), { color: "elbo" });
  picture.say(text.total(values), "kl");
  if (answered) picture.say(text.best(values), "elbo");
}
