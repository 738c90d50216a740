// KL(N(μ, σ²) ‖ N(0, 1)) as an area: what the log-ratio of the two densities gives, weighed by the first.

import { integral, linspace, normal, normalLog } from "./math.js";

export const name = "gaussian-kl";

export const parameters = [
  { name: "mu", min: -3, max: 3, step: 0.05, start: 1.2 },
  { name: "sigma", min: 0.15, max: 2.5, step: 0.05, start: 0.6 },
];

export const right = 1;

export const words = {
  en: {
    title: "the KL of a Gaussian from the prior, as an area",
    mu: "Mean μ of q",
    sigma: "Standard deviation σ of q",
    question: "Keep μ at 0 and make σ tiny. What does the KL do?",
    choices: ["It goes to zero: the means agree", "It grows without bound", "It stops at one half"],
    because: "−log σ grows without bound as σ goes to zero. A code that says exactly which z it means is expensive.",
    densities: "The two densities",
    integrand: "q(z) · log(q(z) / p(z))",
    q: "q(z)",
    p: "prior p(z)",
    shift: "μ² / 2",
    width: "(σ² − 1) / 2",
    log: "−log σ",
    terms: "The three terms of the closed form, in nats",
    total: (values) => `The colored area, positive minus negative, is ${values.area.toFixed(3)} nats. The closed form gives ${values.kl.toFixed(3)} nats.`,
    describe: (values, _, parameters) => `With mean ${parameters.mu} and standard deviation ${parameters.sigma}, the KL from the standard normal prior is ${values.kl.toFixed(3)} nats.`,
  },
  ko: {
    title: "가우스 분포와 사전분포 사이의 KL을 넓이로 보기",
    mu: "q의 평균 μ",
    sigma: "q의 표준편차 σ",
    question: "μ를 0에 두고 σ를 아주 작게 하면 KL은 어떻게 될까요?",
    choices: ["평균이 같으므로 0으로 간다", "한없이 커진다", "1/2에서 멈춘다"],
    because: "σ가 0으로 가면 −log σ가 한없이 커집니다. z를 정확히 가리키는 부호일수록 비용이 큽니다.",
    densities: "두 밀도",
    integrand: "q(z) · log(q(z) / p(z))",
    q: "q(z)",
    p: "사전분포 p(z)",
    shift: "μ² / 2",
    width: "(σ² − 1) / 2",
    log: "−log σ",
    terms: "닫힌 형태의 세 항 (nat)",
    total: (values) => `색칠한 넓이(양의 부분에서 음의 부분을 뺀 값)는 ${values.area.toFixed(3)}nat이고, 닫힌 형태로 계산하면 ${values.kl.toFixed(3)}nat입니다.`,
    describe: (values, _, parameters) => `평균이 ${parameters.mu}, 표준편차가 ${parameters.sigma}일 때 표준정규 사전분포와의 KL은 ${values.kl.toFixed(3)}nat입니다.`,
  },
};

export function compute({ mu, sigma }) {
  const grid = linspace(-15, 15, 3001);
  const q = grid.map((z) => normal(z, mu, sigma));
  const p = grid.map((z) => normal(z));
  const integrand = grid.map((z, at) => q[at] * (normalLog(z, mu, sigma) - normalLog(z)));
  const terms = { shift: (mu * mu) / 2, width: (sigma * sigma - 1) / 2, log: -Math.log(sigma) };
  return { grid, q, p, integrand, terms, kl: terms.shift + terms.width + terms.log, area: integral(integrand, grid[1] - grid[0]) };
}

export function draw(picture, values, { parameters: { mu, sigma }, words: text, set }) {
  const curve = (heights) => values.grid.map((z, at) => [z, heights[at]]);
  const top = Math.max(0.8, 1.05 / (sigma * Math.sqrt(2 * Math.PI)));
  picture.plot({ x: [-5, 5], y: [0, top], title: text.densities, xLabel: "z" })
    .area(curve(values.p), { color: "p" }).line(curve(values.p), { color: "p" })
    .area(curve(values.q), { color: "q" }).line(curve(values.q), { color: "q" })
    .legend([[text.q, "q"], [text.p, "p"]])
    .handle([mu, normal(mu, mu, sigma)], ([z]) => set({ mu: z }), { color: "q" });
  const reach = Math.max(0.5, 1.1 * Math.max(...values.integrand.map(Math.abs)));
  picture.plot({ x: [-5, 5], y: [-0.35 * reach, reach], title: text.integrand, xLabel: "z" })
    .area(curve(values.integrand.map((one) => Math.max(one, 0))), { color: "kl", opacity: 0.45 })
    .area(curve(values.integrand.map((one) => Math.min(one, 0))), { color: "elbo", opacity: 0.45 })
    .line(curve(values.integrand), { color: "kl" }).rule({ y: 0 });
  picture.bars({
    title: text.terms,
    rows: [{ label: "", parts: [
      { value: values.terms.shift, color: "q", label: text.shift },
      { value: values.terms.width, color: "information", label: text.width },
      { value: values.terms.log, color: "reconstruction", label: text.log },
    ], mark: { value: values.kl, label: "KL" } }],
    from: -1.5, to: 6,
  });
  picture.say(text.total(values), "kl");
}
