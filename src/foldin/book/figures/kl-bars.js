// The mean KL of eight encoders in two latent dimensions, taken apart: information, total correlation, dimension-wise KL.

import { linspace, normal, sum } from "./math.js";

export const name = "kl-bars";

export const parameters = [
  { name: "spread", min: 0, max: 1.4, step: 0.05, start: 1 },
  { name: "rho", min: 0, max: 1, step: 0.05, start: 0.5 },
  { name: "sigma", min: 0.05, max: 1.2, step: 0.05, start: 0.5 },
  { name: "shift", min: 0, max: 1.5, step: 0.05, start: 0 },
];

export const right = 2;

export const words = {
  en: {
    title: "the mean KL, taken apart",
    spread: "Standard deviation of the means μ in each dimension",
    rho: "Correlation ρ of the means in the two dimensions",
    sigma: "Standard deviation σ of each encoder",
    shift: "Shift of all means along z₁",
    question: "Make the encoders narrower and narrower (σ toward 0) and leave their means alone. The mean KL grows without bound. Which of its three terms does?",
    choices: ["The information", "The total correlation", "The dimension-wise KL", "All three"],
    because: "The information ends at log N: once z names the user, there is no more to tell. Given the user, the two dimensions are independent: one cannot tell more about the other than about the user, so that the total correlation of two dimensions is at most the information. Every further nat is dimension-wise KL and tells nothing.",
    encoders: "Eight users: q(z | xₙ) and the prior",
    marginals: "The aggregate posterior, one dimension at a time",
    encoder: "q(z | xₙ), 1 sd",
    prior: "prior p(z), 1 and 2 sd",
    first: "q(z₁)",
    second: "q(z₂), dashed",
    marginalPrior: "prior p(zⱼ)",
    bars: "Where the mean KL goes",
    unit: "nats",
    three: "Three terms",
    two: "ELBO surgery: what a better prior would save, in one piece",
    information: "information I_q(n; z)",
    correlation: "total correlation TC(z)",
    dimension: "dimension-wise KL, Σⱼ KL(q(zⱼ) ‖ p(zⱼ))",
    marginal: "KL(q(z) ‖ p(z))",
    limit: "log N, the most that the information can be",
    total: (values) => `The three terms add up to ${values.total.toFixed(3)} nats. The closed form of the mean KL gives ${values.kl.toFixed(3)} nats.`,
    describe: (values) => `The mean KL of ${values.kl.toFixed(3)} nats is ${values.information.toFixed(3)} nats of information, ${Math.abs(values.correlation).toFixed(3)} nats of total correlation and ${values.dimension.toFixed(3)} nats of dimension-wise KL. The information is at most log N, ${values.limit.toFixed(3)} nats.`,
  },
  ko: {
    title: "평균 KL을 세 항으로 나누어 보기",
    spread: "각 차원에서 평균 μ들의 표준편차",
    rho: "두 차원의 평균들 사이의 상관계수 ρ",
    sigma: "각 인코더의 표준편차 σ",
    shift: "모든 평균을 z₁ 방향으로 옮기기",
    question: "평균은 그대로 두고 인코더의 폭 σ만 0에 가깝게 줄여 갑니다. 평균 KL은 한없이 커집니다. 세 항 가운데 한없이 커지는 것은 무엇일까요?",
    choices: ["정보량", "총상관", "차원별 KL", "셋 다"],
    because: "정보량은 log N에서 멈춥니다. z를 보고 누구인지 알고 나면 더 알려 줄 것이 없습니다. 사용자가 주어지면 두 차원은 독립입니다. 그래서 한 차원이 다른 차원에 대해 말해 주는 양은 사용자에 대해 말해 주는 양보다 클 수 없으므로, 두 차원의 총상관도 정보량을 넘지 못합니다. 그 뒤로 늘어나는 nat은 모두 차원별 KL이고, 아무것도 알려 주지 않습니다.",
    encoders: "사용자 여덟 명의 q(z | xₙ)과 사전분포",
    marginals: "차원마다 따로 본 집계 사후분포",
    encoder: "q(z | xₙ), 표준편차 1배",
    prior: "사전분포 p(z), 1배와 2배",
    first: "q(z₁)",
    second: "q(z₂), 점선",
    marginalPrior: "사전분포 p(zⱼ)",
    bars: "평균 KL이 쓰이는 곳",
    unit: "nat",
    three: "세 항",
    two: "ELBO surgery: 더 좋은 사전분포가 아껴 줄 부분을 한 덩어리로",
    information: "정보량 I_q(n; z)",
    correlation: "총상관 TC(z)",
    dimension: "차원별 KL, Σⱼ KL(q(zⱼ) ‖ p(zⱼ))",
    marginal: "KL(q(z) ‖ p(z))",
    limit: "log N, 정보량의 최댓값",
    total: (values) => `세 항을 더하면 ${values.total.toFixed(3)} nat이고, 평균 KL을 공식으로 계산해도 ${values.kl.toFixed(3)} nat입니다.`,
    describe: (values) => `평균 KL ${values.kl.toFixed(3)} nat은 정보량 ${values.information.toFixed(3)} nat, 총상관 ${Math.abs(values.correlation).toFixed(3)} nat, 차원별 KL ${values.dimension.toFixed(3)} nat으로 나뉩니다. 정보량은 log N, 곧 ${values.limit.toFixed(3)} nat을 넘지 못합니다.`,
  },
};

// The places of the users before they are spread and correlated: in each dimension mean 0 and variance 1, the two independent.
// User N − 1 − n lies opposite to user n, so that half of them stand for all in what does not change when all are mirrored.
const USERS = [-3, -1, 1, 3].flatMap((one) => [-1, 1].map((two) => [one / Math.sqrt(5), two]));
const N = USERS.length;
const DIMENSIONS = [0, 1];

// Each expectation under q(z | xₙ) is a sum over a grid of (z − μₙ) / σ, so that the grid fits an encoder of any width.
const STEPS = linspace(-5.7, 5.7, 39);
const DENSITIES = STEPS.map((t) => normal(t));
const WEIGHTS = DENSITIES.map((one) => one / sum(DENSITIES));

export function compute({ spread, rho, sigma, shift }) {
  const [plus, minus] = [Math.sqrt(1 + rho), Math.sqrt(1 - rho)];
  const [same, other] = [(plus + minus) / 2, (plus - minus) / 2];
  const mu = USERS.map(([one, two]) => [shift + spread * (same * one + other * two), spread * (other * one + same * two)]);
  let [information, correlation] = [0, 0];
  const dimensions = [0, 0];
  for (let n = 0; n < N; n += 1) {
    // q(z_j | x_m) / q(z_j | x_n) at each step, for all users m; that of n itself is 1, so that no sum is zero.
    const ratios = DIMENSIONS.map((j) => STEPS.map((t) => mu.map((one) => Math.exp(0.5 * (t * t - (t + (mu[n][j] - one[j]) / sigma) ** 2)))));
    const alone = ratios.map((steps) => steps.map((users) => Math.log(sum(users) / N)));
    for (const j of DIMENSIONS) {
      STEPS.forEach((t, at) => { dimensions[j] += (WEIGHTS[at] / N) * (alone[j][at] - Math.log(sigma) - 0.5 * t * t + 0.5 * (mu[n][j] + sigma * t) ** 2); });
    }
    for (let at = 0; n < N / 2 && at < STEPS.length; at += 1) {
      for (let beside = 0; beside < STEPS.length; beside += 1) {
        const [one, two] = [ratios[0][at], ratios[1][beside]];
        let both = 0;
        for (let m = 0; m < N; m += 1) both += one[m] * two[m];
        const joint = Math.log(both / N);
        const weight = (2 * WEIGHTS[at] * WEIGHTS[beside]) / N;
        information -= weight * joint;
        correlation += weight * (joint - alone[0][at] - alone[1][beside]);
      }
    }
  }
  const grid = linspace(-4, 4, 241);
  const marginals = DIMENSIONS.map((j) => grid.map((z) => sum(mu.map((one) => normal(z, one[j], sigma))) / N));
  const kl = sum(mu.map(([one, two]) => 0.5 * (one * one + two * two) + sigma * sigma - 1 - 2 * Math.log(sigma))) / N;
  const dimension = dimensions[0] + dimensions[1];
  return { mu, grid, marginals, information, correlation, dimensions, dimension, total: information + correlation + dimension, kl, limit: Math.log(N) };
}

export function draw(picture, values, { parameters: { sigma, shift }, words: text, set }) {
  const round = [[sigma * sigma, 0], [0, sigma * sigma]];
  const unit = [[1, 0], [0, 1]];
  const space = picture.plot({ x: [-4, 4], y: [-4, 4], equal: true, title: text.encoders, xLabel: "z₁", yLabel: "z₂" })
    .ellipse([0, 0], unit, { color: "p", sds: 1, dash: "4 3" }).ellipse([0, 0], unit, { color: "p", sds: 2, dash: "4 3" });
  for (const one of values.mu) space.ellipse(one, round, { color: "q", sds: 1, fill: 0.2, thick: 1.5 });
  space.points(values.mu, { color: "q", size: 2 }).legend([[text.encoder, "q"], [text.prior, "p"]])
    .handle([shift, 0], ([z]) => set({ shift: z }), { color: "accent" });
  const curve = (heights) => values.grid.map((z, at) => [z, heights[at]]);
  const prior = curve(values.grid.map((z) => normal(z)));
  picture.plot({ x: [-4, 4], y: [0, 1.05 * Math.max(0.6, ...values.marginals.flat())], title: text.marginals, xLabel: "zⱼ", height: 300 })
    .area(prior, { color: "p" }).line(prior, { color: "p" })
    .line(curve(values.marginals[0]), { color: "q" }).line(curve(values.marginals[1]), { color: "q", dash: "5 3" })
    .legend([[text.first, "q"], [text.second, "q"], [text.marginalPrior, "p"]]);
  const information = { value: values.information, color: "information", label: text.information };
  picture.bars({
    title: text.bars, unit: text.unit, from: 0, to: 8.5,
    rows: [
      { label: text.three, parts: [
        information,
        { value: values.correlation, color: "correlation", label: text.correlation },
        { value: values.dimension, color: "dimension", label: text.dimension },
      ], mark: { value: values.limit, label: text.limit } },
      { label: text.two, parts: [information, { value: values.correlation + values.dimension, color: "p", label: text.marginal }] },
    ],
  });
  picture.say(text.total(values));
}
