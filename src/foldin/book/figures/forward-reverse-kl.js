// A Gaussian q for a posterior with two modes: the two KL divergences as integrals, and the q that makes either of them smallest.

import { integral, linspace, normal, normalLog, sum } from "./math.js";

export const name = "forward-reverse-kl";

export const parameters = [
  { name: "place", options: ["hand", "reverse", "forward"], start: "hand" },
  { name: "distance", min: 0, max: 10, step: 0.2, start: 6 },
  { name: "mu", min: -6, max: 6, step: 0.05, start: 1.5 },
  { name: "sigma", min: 0.3, max: 6, step: 0.05, start: 1 },
];

export const right = 1;

const show = (value, digits = 2) => value.toFixed(digits).replace(/^-(?=0\.?0*$)/, "").replace("-", "−");

export const words = {
  en: {
    title: "one Gaussian for two modes, and the two KLs",
    place: "Place of q",
    distance: "Distance between the two halves of p",
    mu: "Mean μ of q, or start of the search",
    sigma: "Standard deviation σ of q, or start",
    options: { place: { hand: "by hand", reverse: "reverse KL: end of a search", forward: "forward KL: its minimum" } },
    question: "q sits on one of two modes, and the other mode moves further and further away. Which KL notices how far it goes?",
    choices: ["Only the reverse KL(q ‖ p)", "Only the forward KL(p ‖ q)", "Both", "Neither"],
    because: "The reverse expectation is under q, which never visits the other mode: it pays log 2 for the missing half, however far that is. The forward expectation is under p, half of which lies there, where log(p / q) grows with the square of the distance.",
    densities: "The two densities",
    begin: "q at the start",
    kls: "The areas under the integrands, in nats",
    reverse: "Reverse: expectation under q",
    forward: "Forward: expectation under p",
    reverseIntegrand: "Reverse: q(z) · log(q(z) / p(z | x))",
    forwardIntegrand: "Forward: p(z | x) · log(p(z | x) / q(z))",
    unit: "nats",
    told: {
      hand: (values) => `q has the mean ${show(values.mu)} and the standard deviation ${show(values.sigma)}. The areas are ${show(values.reverseKl, 3)} and ${show(values.forwardKl, 3)} nats.`,
      reverse: (values, parameters) => `The search for a smaller KL(q ‖ p) starts at μ = ${show(parameters.mu)}, σ = ${show(parameters.sigma)} and ends at μ = ${show(values.mu)}, σ = ${show(values.sigma)}. Another start may end at another local minimum.`,
      forward: (values) => `KL(p ‖ q) is smallest at the mean and the standard deviation of p: μ = ${show(values.mu)}, σ = ${show(values.sigma)}, wherever one starts.`,
    },
    describe: (values, _, parameters) => `With the two halves of p at a distance of ${parameters.distance}, and with mean ${show(values.mu)} and standard deviation ${show(values.sigma)} of q, the reverse KL is ${show(values.reverseKl, 3)} nats and the forward KL ${show(values.forwardKl, 3)} nats.`,
  },
  ko: {
    title: "봉우리 둘을 가우스 분포 하나로 근사할 때의 두 KL",
    place: "q의 위치",
    distance: "p를 이루는 두 가우스 분포의 거리",
    mu: "q의 평균 μ (탐색할 때는 시작점)",
    sigma: "q의 표준편차 σ (탐색할 때는 시작점)",
    options: { place: { hand: "직접 정하기", reverse: "역방향 KL: 탐색이 멈춘 곳", forward: "순방향 KL: 최소점" } },
    question: "q가 두 봉우리 가운데 하나에 자리 잡고 있는데, 다른 봉우리가 점점 더 멀어집니다. 얼마나 멀어졌는지에 따라 달라지는 KL은 어느 것일까요?",
    choices: ["역방향 KL(q ‖ p)만", "순방향 KL(p ‖ q)만", "둘 다", "둘 다 아니다"],
    because: "역방향 KL의 기댓값은 q에 대한 것이고, q에서 뽑은 z는 다른 봉우리에 가지 않습니다. 그래서 봉우리가 아무리 멀어져도 빠뜨린 절반에 대해 log 2만 치릅니다. 순방향 KL의 기댓값은 p에 대한 것이고, p의 절반이 있는 그곳에서 log(p / q)는 거리의 제곱으로 커집니다.",
    densities: "두 밀도",
    begin: "시작할 때의 q",
    kls: "두 피적분함수의 넓이 (nat)",
    reverse: "역방향: q에 대한 기댓값",
    forward: "순방향: p에 대한 기댓값",
    reverseIntegrand: "역방향: q(z) · log(q(z) / p(z | x))",
    forwardIntegrand: "순방향: p(z | x) · log(p(z | x) / q(z))",
    unit: "nat",
    told: {
      hand: (values) => `q의 평균은 ${show(values.mu)}, 표준편차는 ${show(values.sigma)}입니다. 넓이는 각각 ${show(values.reverseKl, 3)} nat, ${show(values.forwardKl, 3)} nat입니다.`,
      reverse: (values, parameters) => `μ = ${show(parameters.mu)}, σ = ${show(parameters.sigma)}에서 시작해 역방향 KL이 작아지는 쪽으로 가다가 μ = ${show(values.mu)}, σ = ${show(values.sigma)}에서 멈췄습니다. 시작점이 다르면 다른 국소 최적점에서 멈출 수 있습니다.`,
      forward: (values) => `순방향 KL은 p의 평균과 표준편차, 곧 μ = ${show(values.mu)}, σ = ${show(values.sigma)}에서 가장 작습니다. 어디서 시작하든 같습니다.`,
    },
    describe: (values, _, parameters) => `p를 이루는 두 가우스 분포의 거리가 ${parameters.distance}이고 q의 평균이 ${show(values.mu)}, 표준편차가 ${show(values.sigma)}일 때 역방향 KL은 ${show(values.reverseKl, 3)} nat, 순방향 KL은 ${show(values.forwardKl, 3)} nat입니다.`,
  },
};

const GRID = linspace(-60, 60, 2401); // wide enough for every q, with a step that is small beside every width
const NOISE = linspace(-6, 6, 301);
const WEIGHTS = NOISE.map((epsilon) => normal(epsilon) * (NOISE[1] - NOISE[0]));

// log p(z | x), the modes at −half and half: the sum of the two exponentials is a hyperbolic cosine.
function posteriorLog(z, half) {
  const far = Math.abs(half * z);
  return normalLog(z) - 0.5 * half * half + far + Math.log1p(Math.exp(-2 * far)) - Math.LN2;
}

// The local minimum of KL(q ‖ p) that gradient steps reach from a start; z = μ + σ ε gives the gradient.
function search(half, mu, sigma) {
  let [mean, log] = [mu, Math.log(sigma)];
  for (let step = 0; step < 400; step += 1) {
    const sd = Math.exp(log);
    let [byMean, byLog] = [0, -1];
    for (let at = 0; at < NOISE.length; at += 1) {
      const z = mean + sd * NOISE[at];
      const weighed = WEIGHTS[at] * (z - half * Math.tanh(half * z)); // minus the slope of log p
      byMean += weighed;
      byLog += weighed * sd * NOISE[at];
    }
    mean -= Math.min(0.2 * sd * sd, 0.8) * byMean; // the curvature is at most 1, and 1 / σ² at an optimum
    log -= (0.2 * byLog) / (1 + sd * sd);
  }
  return [mean, Math.exp(log)];
}

export function compute(parameters) {
  const half = parameters.distance / 2;
  const [step, logP] = [GRID[1] - GRID[0], GRID.map((z) => posteriorLog(z, half))];
  const p = logP.map(Math.exp);
  let [mu, sigma] = [parameters.mu, parameters.sigma];
  if (parameters.place === "reverse") [mu, sigma] = search(half, mu, sigma);
  if (parameters.place === "forward") {
    mu = step * sum(GRID.map((z, at) => z * p[at]));
    sigma = Math.sqrt(step * sum(GRID.map((z, at) => (z - mu) ** 2 * p[at])));
  }
  const logQ = GRID.map((z) => normalLog(z, mu, sigma));
  const q = logQ.map(Math.exp);
  const reverse = GRID.map((_, at) => q[at] * (logQ[at] - logP[at]));
  const forward = GRID.map((_, at) => p[at] * (logP[at] - logQ[at]));
  const shown = (values) => values.filter((_, at) => Math.abs(GRID[at]) < 9.53);
  return {
    mu, sigma, half, reverseKl: integral(reverse, step), forwardKl: integral(forward, step),
    grid: shown(GRID), p: shown(p), q: shown(q), reverse: shown(reverse), forward: shown(forward),
    begin: shown(GRID).map((z) => normal(z, parameters.mu, parameters.sigma)),
  };
}

export function draw(picture, values, { parameters, words: text, set }) {
  const { mu, sigma } = values;
  const curve = (heights) => values.grid.map((z, at) => [z, heights[at]]);
  const searched = parameters.place === "reverse";
  const plot = picture.plot({ x: [-9.5, 9.5], y: [0, Math.max(0.5, 1.1 / (sigma * Math.sqrt(2 * Math.PI)))], title: text.densities, xLabel: "z" })
    .area(curve(values.p), { color: "p" }).line(curve(values.p), { color: "p" })
    .area(curve(values.q), { color: "q" }).line(curve(values.q), { color: "q" })
    .legend([["q(z)", "q"], ["p(z | x)", "p"], ...(searched ? [[`- - ${text.begin}`, "q"]] : [])]);
  if (searched) plot.line(curve(values.begin), { color: "q", dash: "4 3", thick: 1.5, opacity: 0.6 });
  plot.handle([mu, normal(mu, mu, sigma)], ([z]) => set({ place: "hand", mu: z, sigma }), { color: "q" })
    .handle([mu + sigma, normal(mu + sigma, mu, sigma)], ([z]) => set({ place: "hand", mu, sigma: z - mu }), { color: "q" });
  picture.bars({
    title: text.kls, unit: text.unit, wide: false, to: Math.max(2, 1.1 * values.reverseKl, 1.1 * values.forwardKl),
    rows: [
      { label: text.reverse, parts: [{ value: values.reverseKl, color: "kl", label: "KL(q ‖ p)" }], mark: { value: Math.LN2, label: "log 2" } },
      { label: text.forward, parts: [{ value: values.forwardKl, color: "kl", label: "KL(p ‖ q)" }] },
    ],
  });
  for (const one of ["reverse", "forward"]) {
    const reach = Math.max(0.5, 1.1 * Math.max(...values[one].map(Math.abs)));
    picture.plot({ x: [-9.5, 9.5], y: [-0.35 * reach, reach], title: text[`${one}Integrand`], xLabel: "z" })
      .area(curve(values[one].map((height) => Math.max(height, 0))), { color: "kl", opacity: 0.45 })
      .area(curve(values[one].map((height) => Math.min(height, 0))), { color: "elbo", opacity: 0.45 })
      .line(curve(values[one]), { color: "kl" }).rule({ y: 0 });
  }
  picture.say(text.told[parameters.place](values, parameters), "q");
}
