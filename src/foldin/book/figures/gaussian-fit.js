// A Gaussian fitted by hand: what it loses against the estimate of maximum likelihood is N times a KL, and the curvature says how sure that is.

import { linspace, mean, normal, normalLog, random, sum } from "./math.js";

export const name = "gaussian-fit";

export const parameters = [
  { name: "mu", min: -1.5, max: 3, step: 0.05, start: 0 },
  { name: "sigma", min: 0.3, max: 2.7, step: 0.05, start: 2 },
  { name: "n", options: [4, 12, 48], start: 12 },
];

export const right = 0;

const show = (value, digits = 3) => value.toFixed(digits).replace(/^-(?=0\.?0*$)/, "").replace("-", "−");

export const words = {
  en: {
    title: "a Gaussian fitted by hand",
    mu: "Mean μ",
    sigma: "Standard deviation σ",
    n: "Number of observations N",
    question: "Let σ have its best value, and move μ by exactly one standard error away from the best. By how much does the log-likelihood of all N observations fall?",
    choices: ["By half a nat, whatever N is", "By N/2 nats", "By more nats, the fewer observations there are"],
    because: "With the best σ the fall is N (μ̂ − μ)² / (2σ̂²), and one standard error is σ̂/√N. More observations make the peak narrower, and the standard error shorter by the same factor. Two standard errors cost 2 nats, four cost 8.",
    densities: "The observations and two densities",
    p: "p(x | μ, σ)",
    fitted: "p(x | μ̂, σ̂), the best fit",
    surface: "Nats below the best fit, for every μ and σ",
    errors: "2 standard errors around the best fit",
    lost: "KL of the best fit from this Gaussian, for one observation",
    unit: "nats",
    mean: "from μ: (μ̂ − μ)² / (2σ²)",
    width: "from σ: log(σ / σ̂) + σ̂² / (2σ²) − ½",
    total: (values) => `The log-likelihood is ${show(values.now)} nats now and ${show(values.most)} nats at the best fit. The difference is N · KL = ${values.sample.length} · ${show(values.kl.total, 4)} = ${show(values.fall)} nats.`,
    best: (values) => `Best fit with standard errors: μ̂ = ${show(values.best.mu, 2)} ± ${show(values.errors.mu, 2)}, σ̂ = ${show(values.best.sigma, 2)} ± ${show(values.errors.sigma, 2)}.`,
    describe: (values, _, { mu, sigma }) => `With mean ${show(mu, 2)} and standard deviation ${show(sigma, 2)}, the log-likelihood of ${values.sample.length} observations is ${show(values.now)} nats, ${show(values.fall)} nats below that of the best fit, whose mean is ${show(values.best.mu, 2)} and whose standard deviation is ${show(values.best.sigma, 2)}.`,
  },
  ko: {
    title: "손으로 맞추는 가우스 분포",
    mu: "평균 μ",
    sigma: "표준편차 σ",
    n: "관측값의 수 N",
    question: "σ는 가장 좋은 값에 두고, μ를 가장 좋은 값에서 표준오차만큼만 옮깁니다. 관측값 N개 전체의 로그 가능도는 얼마나 낮아질까요?",
    choices: ["N이 얼마이든 1/2 nat", "N/2 nat", "관측값이 적을수록 더 많이"],
    because: "σ가 가장 좋은 값이면 낮아지는 양은 N (μ̂ − μ)² / (2σ̂²)이고, 표준오차는 σ̂/√N입니다. 관측값이 늘면 봉우리가 좁아지지만, 표준오차도 같은 비율로 짧아집니다. 표준오차의 두 배를 옮기면 2 nat, 네 배를 옮기면 8 nat이 낮아집니다.",
    densities: "관측값과 두 밀도",
    p: "p(x | μ, σ)",
    fitted: "p(x | μ̂, σ̂), 최대가능도추정",
    surface: "μ와 σ마다, 최댓값보다 몇 nat 낮은가",
    errors: "추정값 둘레로 표준오차의 두 배",
    lost: "최대가능도로 맞춘 가우스 분포와 지금 분포 사이의 KL, 관측값 하나당",
    unit: "nat",
    mean: "μ 때문에: (μ̂ − μ)² / (2σ²)",
    width: "σ 때문에: log(σ / σ̂) + σ̂² / (2σ²) − ½",
    total: (values) => `로그 가능도는 지금 ${show(values.now)} nat, 최댓값은 ${show(values.most)} nat입니다. 차이는 N · KL = ${values.sample.length} · ${show(values.kl.total, 4)} = ${show(values.fall)} nat입니다.`,
    best: (values) => `최대가능도 추정값과 표준오차: μ̂ = ${show(values.best.mu, 2)} ± ${show(values.errors.mu, 2)}, σ̂ = ${show(values.best.sigma, 2)} ± ${show(values.errors.sigma, 2)}.`,
    describe: (values, _, { mu, sigma }) => `평균이 ${show(mu, 2)}, 표준편차가 ${show(sigma, 2)}일 때 관측값 ${values.sample.length}개의 로그 가능도는 ${show(values.now)} nat입니다. 평균 ${show(values.best.mu, 2)}, 표준편차 ${show(values.best.sigma, 2)}에서의 최댓값보다 ${show(values.fall)} nat 낮습니다.`,
  },
};

const [MU, SIGMA] = parameters.map((one) => [one.min, one.max]);
const LEVELS = [0.5, 2, 8, 32, 128]; // 1, 2, 4, 8 and 16 standard errors of the mean

// KL(N(μ̂, σ̂²) ‖ N(μ, σ²)): the log-likelihood meets the data only in their mean and their mean square, which are those of the best fit.
function divergence(best, mu, sigma) {
  const far = (best.mu - mu) ** 2 / (2 * sigma * sigma);
  const width = Math.log(sigma / best.sigma) + best.sigma ** 2 / (2 * sigma * sigma) - 0.5;
  return { mean: far, width, total: far + width };
}

export function compute({ mu, sigma, n }) {
  const { gaussian } = random(3);
  const sample = Array.from({ length: n }, () => 0.5 + gaussian());
  const center = mean(sample);
  const best = { mu: center, sigma: Math.sqrt(mean(sample.map((x) => (x - center) ** 2))) };
  const errors = { mu: best.sigma / Math.sqrt(n), sigma: best.sigma / Math.sqrt(2 * n) };
  const likelihood = (m, s) => sum(sample.map((x) => normalLog(x, m, s)));
  const [now, most] = [likelihood(mu, sigma), likelihood(best.mu, best.sigma)];
  const grid = linspace(-3.5, 4.5, 241);
  const rows = linspace(...SIGMA, 49);
  const surface = rows.map((s) => linspace(...MU, 91).map((m) => -n * divergence(best, m, s).total));
  return {
    sample, best, errors, now, most, fall: most - now, kl: divergence(best, mu, sigma), surface, grid,
    p: grid.map((x) => normal(x, mu, sigma)), fitted: grid.map((x) => normal(x, best.mu, best.sigma)),
  };
}

export function draw(picture, values, { parameters: { mu, sigma, n }, words: text, set }) {
  const { best, errors, grid } = values;
  const curve = (heights) => grid.map((x, at) => [x, heights[at]]);
  const top = 1.25 * Math.max(0.4, normal(mu, mu, sigma), normal(best.mu, best.mu, best.sigma));
  const densities = picture.plot({ x: [-3.5, 4.5], y: [0, top], title: text.densities, xLabel: "x" });
  for (const x of values.sample) densities.line([[x, 0], [x, normal(x, mu, sigma)]], { color: "p", thick: 1, opacity: 0.5 });
  densities.line(curve(values.fitted), { color: "data", dash: "5 4" }).line(curve(values.p), { color: "p" })
    .points(values.sample.map((x) => [x, 0]), { color: "data", size: 4 })
    .legend([[text.p, "p"], [text.fitted, "data"]])
    .handle([mu, normal(mu, mu, sigma)], ([x]) => set({ mu: x }), { color: "p" });

  const plane = picture.plot({ x: MU, y: SIGMA, equal: true, title: text.surface, xLabel: "μ", yLabel: "σ" })
    .contours(values.surface, { levels: LEVELS.map((one) => -one).reverse() })
    .ellipse([best.mu, best.sigma], [[errors.mu ** 2, 0], [0, errors.sigma ** 2]], { color: "information", dash: "5 4" })
    .points([[best.mu, best.sigma]], { color: "data", shape: "cross", size: 4 })
    .legend([[text.errors, "information"]]);
  // To the right of the best fit, at the height of σ̂, a fall of t nats is at μ̂ + σ̂ √(2t / N).
  for (const level of LEVELS) {
    const place = best.mu + best.sigma * Math.sqrt((2 * level) / n);
    if (place < MU[1] - 0.2) plane.text([place, best.sigma], level === 0.5 ? "½" : String(level), { color: "quiet", dx: 2, dy: -3 });
  }
  plane.handle([mu, sigma], ([m, s]) => set({ mu: m, sigma: s }), { color: "p" });

  picture.bars({
    title: text.lost, unit: text.unit, to: 2,
    rows: [{ label: "", parts: [
      { value: values.kl.mean, color: "q", label: text.mean },
      { value: Math.max(values.kl.width, 0), color: "reconstruction", label: text.width },
    ] }],
  });
  picture.say(text.total(values), "kl");
  picture.say(text.best(values), "information");
}
