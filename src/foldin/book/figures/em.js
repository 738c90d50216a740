// EM for a mixture of Gaussians, half step by half step: an E-step closes the KL between the free energy and log p(x | θ), an M-step raises both.

import { softmax } from "./math.js";

export const name = "em";
export const film = "em";
export const filmParameters = ["components", "seed"];
export const pace = 700;

export const parameters = [
  { name: "components", options: [1, 2, 3, 4], start: 3 },
  { name: "seed", options: [0, 1, 2], start: 0 },
];

export const right = 1;

const show = (value, digits = 3) => value.toFixed(digits).replace(/^-(?=0\.?0*$)/, "").replace("-", "−");

export const words = {
  en: {
    title: "EM, half step by half step",
    step: "Half step",
    components: "Number of components K",
    seed: "Random start",
    options: { seed: { 0: "first", 1: "second", 2: "third" } },
    question: "After an E-step, an M-step raises the free energy F(q, θ) by 0.1 nats per point. By how much does log p(x | θ) rise in that M-step?",
    choices: ["By exactly 0.1: the M-step raises nothing else", "By 0.1 or more", "By 0.1 or less: F is only a lower bound"],
    because: "After the E-step the KL is zero and F equals log p(x | θ). The M-step moves θ and with it the posterior, but not q. So the KL cannot fall, and log p(x | θ) = F + KL rises by at least as much as F.",
    plane: "Points in the colors of q, ellipses of θ",
    course: "F(q, θ) and the KL: together log p(x | θ)",
    nats: "nats per point",
    f: "free energy F(q, θ)",
    kl: "KL(q ‖ posterior)",
    gain: "Since the M-step of this iteration, in nats per point",
    rise: "rise of F(q, θ)",
    evidence: "rise of log p(x | θ)",
    unit: "nats",
    start: (one) => `E-step at the start: q is the posterior, the KL is 0, and F = log p(x | θ) = ${show(one.logP)} nats per point.`,
    E: (one) => `E-step: θ stays, and q becomes the posterior. F rises by the KL of before to log p(x | θ) = ${show(one.logP)} nats per point, and the KL is 0.`,
    M: (one) => `M-step: q stays (so do the colors), and θ moves. F rises by ${show(one.rise.f, 4)}, log p(x | θ) by ${show(one.rise.logP, 4)} nats per point. The difference is the new KL, ${show(one.kl, 4)}.`,
    describe: (values, at) => `Half step ${at}, ${values.frames[at].step}-step: free energy ${show(values.frames[at].f)}, KL ${show(values.frames[at].kl)}, log p(x | θ) ${show(values.frames[at].logP)} nats per point.`,
  },
  ko: {
    title: "반 단계씩 보는 EM",
    step: "반 단계",
    components: "성분의 수 K",
    seed: "무작위 출발점",
    options: { seed: { 0: "첫째", 1: "둘째", 2: "셋째" } },
    question: "E단계를 마친 다음 M단계가 자유 에너지 F(q, θ)를 점 하나당 0.1 nat 올렸습니다. 이 M단계에서 log p(x | θ)는 얼마나 오를까요?",
    choices: ["정확히 0.1. M단계가 올리는 것은 F뿐이므로", "0.1 이상", "0.1 이하. F는 하한일 뿐이므로"],
    because: "E단계를 마치면 KL이 0이고 F는 log p(x | θ)와 같습니다. M단계는 θ를 옮기므로 사후분포도 달라지지만 q는 그대로입니다. 그래서 KL은 더 작아질 수 없고, log p(x | θ) = F + KL은 적어도 F만큼 오릅니다.",
    plane: "점의 색은 q, 타원은 θ",
    course: "F(q, θ)와 KL의 합은 log p(x | θ)",
    nats: "점 하나당 nat",
    f: "자유 에너지 F(q, θ)",
    kl: "KL(q ‖ 사후분포)",
    gain: "이번 반복의 M단계부터 지금까지 (점 하나당 nat)",
    rise: "F(q, θ)가 오른 양",
    evidence: "log p(x | θ)가 오른 양",
    unit: "nat",
    start: (one) => `출발점의 E단계: q가 사후분포이므로 KL은 0이고, 점 하나당 F = log p(x | θ) = ${show(one.logP)} nat입니다.`,
    E: (one) => `E단계: θ는 그대로이고 q가 사후분포가 됩니다. F가 방금 있던 KL만큼 올라 점 하나당 log p(x | θ) = ${show(one.logP)} nat과 같아지고, KL은 0이 됩니다.`,
    M: (one) => `M단계: q와 점의 색은 그대로이고 θ가 움직입니다. 점 하나당 F는 ${show(one.rise.f, 4)} nat, log p(x | θ)는 ${show(one.rise.logP, 4)} nat 오릅니다. 그 차이가 새로 생긴 KL ${show(one.kl, 4)} nat입니다.`,
    describe: (values, at) => `반 단계 ${at}, ${values.frames[at].step}단계: 점 하나당 자유 에너지 ${show(values.frames[at].f)} nat, KL ${show(values.frames[at].kl)} nat, log p(x | θ) ${show(values.frames[at].logP)} nat입니다.`,
  },
};

const COLORS = ["q", "p", "information", "reconstruction"];

function logNormal([x, y], mean, [[a, b], [, c]]) {
  const [dx, dy, det] = [x - mean[0], y - mean[1], a * c - b * b];
  return -0.5 * ((c * dx * dx - 2 * b * dx * dy + a * dy * dy) / det + Math.log(det)) - Math.log(2 * Math.PI);
}

const responsibilities = (x, theta) => softmax(theta.weights.map((weight, k) => Math.log(weight) + logNormal(x, theta.means[k], theta.covariances[k])));

export function compute(_, { points, parameters: thetas, free_energy: free, kl, log_likelihood: logP }) {
  const posteriors = thetas.map((theta) => points.map((x) => responsibilities(x, theta)));
  // E, M, E, …: an M-step moves θ, and q stays the posterior of the θ before.
  const frames = free.map((f, at) => {
    const [step, old, now] = [at % 2 ? "M" : "E", Math.floor(at / 2), Math.ceil(at / 2)];
    const since = logP[Math.max(at - (step === "M" ? 1 : 2), 0)]; // before the M-step of this iteration
    return { step, theta: thetas[now], before: thetas[old], q: posteriors[old], f, kl: kl[at], logP: logP[at], rise: { f: f - since, logP: logP[at] - since } };
  });
  return { points, frames };
}

export function draw(picture, { points, frames }, { at, frame, words: text }) {
  const { theta, before, q, rise } = frame;
  const plane = picture.plot({ x: [-4.6, 3.9], y: [-4, 3.4], equal: true, axes: false, title: text.plane });
  // One layer for each component, whose opacity is its share of itself and the layers below: together, the colors mixed by q.
  theta.weights.forEach((_, k) => {
    const share = q.map((r) => (r[k] < 0.004 ? 0 : r[k] / r.slice(0, k + 1).reduce((all, one) => all + (one < 0.004 ? 0 : one), 0)));
    const some = share.map((_, n) => n).filter((n) => share[n] > 0);
    plane.points(some.map((n) => points[n]), { color: COLORS[k], size: 3, opacity: (one) => share[some[one]] });
  });
  theta.means.forEach((mean, k) => {
    plane.ellipse(mean, theta.covariances[k], { color: COLORS[k] }).points([mean], { color: COLORS[k], shape: "cross", size: 4 });
    if (frame.step === "M") plane.arrow(before.means[k], mean, { thick: 1.5 });
  });

  const [low, high] = [frames[0].f, Math.max(...frames.map((one) => one.logP))];
  const margin = 0.1 * Math.max(high - low, 0.01);
  const [x, y] = [[-0.6, frames.length - 0.4], [low - margin, high + 4 * margin]];
  const course = picture.plot({ x, y, title: text.course, xLabel: text.step, yLabel: text.nats });
  frames.slice(0, at + 1).forEach((one, place) => {
    const opacity = place === at ? 1 : 0.45;
    course.columns([{ x: place, value: one.f, color: "elbo" }], { base: low - margin, opacity })
      .columns([{ x: place, value: one.logP, color: "kl" }], { base: one.f, opacity });
  });
  course.legend([[text.kl, "kl"], [text.f, "elbo"]], { left: true });

  picture.bars({
    title: text.gain, unit: text.unit, to: rise.logP > 1e-5 ? 1.05 * rise.logP : 1,
    rows: [{ label: "", parts: [
      { value: Math.max(rise.f, 0), color: "elbo", label: text.rise },
      { value: frame.kl, color: "kl", label: text.kl },
    ], mark: { value: rise.logP, label: text.evidence } }],
  });
  picture.say(at === 0 ? text.start(frame) : text[frame.step](frame), frame.step === "M" ? "kl" : "elbo");
}
