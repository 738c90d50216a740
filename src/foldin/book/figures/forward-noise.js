// The forward process on a density with two humps: q(x_t), a few paths of single steps, and the signal-to-noise ratio of two schedules.

import { linspace, normal, random } from "./math.js";

export const name = "forward-noise";

export const pace = 90;

export const parameters = [
  { name: "schedule", options: ["linear", "cosine"], start: "linear" },
  { name: "seed", min: 1, max: 9, step: 1, start: 1 },
];

export const right = 2;

const shown = (value, digits = 2) => value.toFixed(digits).replace(/^-(?=0\.?0*$)/, "").replace("-", "−");

export const words = {
  en: {
    title: "noise over the data, step by step",
    schedule: "Noise schedule",
    seed: "Draw of the paths",
    step: "Frame (10 steps each)",
    options: { schedule: { linear: "linear", cosine: "cosine" } },
    question: "Both schedules have 1,000 steps, and the data have variance 1. For how many steps of the linear one is less than 1% of the variance of xₜ signal?",
    choices: ["About 10", "About 100", "About 330"],
    because: "ᾱₜ is a product, and its logarithm falls nearly with the square of t: from t = 674 on less than 1% is signal. The cosine schedule has only 65 steps of this kind.",
    density: (t) => `Density of xₜ at t = ${t}`,
    paths: "Paths, from the data to t",
    factors: "Factors of x₀ and ε in xₜ",
    ratio: "log SNR(t)",
    q: "q(xₜ)",
    data: "data, q(x₀)",
    noise: "noise, N(0, 1)",
    signalFactor: "√ᾱₜ",
    noiseFactor: "√(1 − ᾱₜ)",
    threshold: "ᾱₜ = 0.01",
    now: (frame) => (frame.t === 0 ? "t = 0: x₀ is the data. There is no noise yet, and the signal-to-noise ratio is infinite." : `t = ${frame.t}: xₜ = ${shown(frame.signal, 3)} x₀ + ${shown(frame.sigma, 3)} ε, and log SNR(t) = ${shown(frame.logSnr)}.`),
    weak: (values, { schedule }) => `With the ${schedule} schedule ᾱₜ is below 0.01 from t = ${values.weak.from} on: at ${values.weak.count} of 1,000 steps.`,
    describe: (values, at, { schedule }) => { const { t, signal, sigma, logSnr } = values.frames[at]; return `In the ${schedule} schedule at step ${t} of 1,000 the factor of the data is ${shown(signal, 3)} and that of the noise ${shown(sigma, 3)}; ${t === 0 ? "the signal-to-noise ratio is infinite" : `the log of the signal-to-noise ratio is ${shown(logSnr)}`}.`; },
  },
  ko: {
    title: "데이터에 한 단계씩 더해지는 잡음",
    schedule: "잡음 스케줄",
    seed: "경로를 뽑는 시드",
    step: "장면(하나에 10단계)",
    options: { schedule: { linear: "선형", cosine: "코사인" } },
    question: "두 스케줄 모두 1,000단계이고 데이터의 분산은 1입니다. 선형 스케줄에서 xₜ의 분산 가운데 신호가 1%도 안 되는 단계는 몇 개일까요?",
    choices: ["약 10개", "약 100개", "약 330개"],
    because: "ᾱₜ는 곱이고, 그 로그는 거의 t의 제곱에 비례해서 줄어듭니다. 그래서 t = 674부터는 신호가 1%도 되지 않습니다. 코사인 스케줄에는 그런 단계가 65개뿐입니다.",
    density: (t) => `t = ${t}에서 xₜ의 밀도`,
    paths: "데이터에서 t까지의 경로",
    factors: "xₜ에서 x₀과 ε의 계수",
    ratio: "log SNR(t)",
    q: "q(xₜ)",
    data: "데이터 q(x₀)",
    noise: "잡음 N(0, 1)",
    signalFactor: "√ᾱₜ",
    noiseFactor: "√(1 − ᾱₜ)",
    threshold: "ᾱₜ = 0.01",
    now: (frame) => (frame.t === 0 ? "t = 0: x₀은 데이터입니다. 아직 잡음이 없어서 신호 대 잡음비는 무한대입니다." : `t = ${frame.t}: xₜ = ${shown(frame.signal, 3)} x₀ + ${shown(frame.sigma, 3)} ε이고, log SNR(t) = ${shown(frame.logSnr)}입니다.`),
    weak: (values, { schedule }) => `${schedule === "linear" ? "선형" : "코사인"} 스케줄에서는 t = ${values.weak.from}부터 ᾱₜ가 0.01보다 작습니다. 1,000단계 가운데 ${values.weak.count}단계입니다.`,
    describe: (values, at, { schedule }) => { const { t, signal, sigma, logSnr } = values.frames[at]; return `${schedule === "linear" ? "선형" : "코사인"} 스케줄의 1,000단계 가운데 ${t}단계에서 데이터의 계수는 ${shown(signal, 3)}, 잡음의 계수는 ${shown(sigma, 3)}이고, ${t === 0 ? "신호 대 잡음비는 무한대입니다" : `신호 대 잡음비의 로그는 ${shown(logSnr)}입니다`}.`; },
  },
};

const STEPS = 1000;
const EACH = 10; // steps from one frame to the next
const HUMPS = [{ weight: 0.4, mean: -1.5 * Math.sqrt(0.6) }, { weight: 0.6, mean: Math.sqrt(0.6) }]; // with WIDTH: mean 0, variance 1
const WIDTH = Math.sqrt(0.1);

// ᾱ_0 … ᾱ_T of the schedules of foldin.diffusion.NoiseSchedule.
export function alphaBar(schedule, steps) {
  const f = (t) => Math.cos(((t / steps + 0.008) / 1.008) * (Math.PI / 2)) ** 2;
  const linear = (t) => (1000 / steps) * (1e-4 + ((0.02 - 1e-4) * (t - 1)) / (steps - 1));
  const found = [1];
  for (let t = 1; t <= steps; t += 1) found.push(found[t - 1] * (1 - Math.min(schedule === "linear" ? linear(t) : 1 - f(t) / f(t - 1), 0.999)));
  return found;
}

const logRatios = (bars) => bars.slice(1).map((bar) => Math.log(bar) - Math.log1p(-bar)); // from t = 1 on: it is infinite at t = 0

// q(x_t) over the grid. The widths are the same for both humps; worked out once, since there are a hundred frames.
function density(grid, bar) {
  const variance = bar * WIDTH * WIDTH + 1 - bar;
  const [scale, root] = [1 / Math.sqrt(2 * Math.PI * variance), Math.sqrt(bar)];
  return grid.map((x) => { let all = 0; for (const { weight, mean } of HUMPS) all += weight * scale * Math.exp((-0.5 * (x - root * mean) ** 2) / variance); return all; });
}

function path(bars, { uniform, gaussian }) {
  let x = HUMPS[uniform() < HUMPS[0].weight ? 0 : 1].mean + WIDTH * gaussian();
  const kept = [x];
  for (let t = 1; t <= STEPS; t += 1) {
    const alpha = bars[t] / bars[t - 1];
    x = Math.sqrt(alpha) * x + Math.sqrt(1 - alpha) * gaussian();
    if (t % EACH === 0) kept.push(x);
  }
  return kept;
}

export function compute({ schedule, seed }) {
  const bars = alphaBar(schedule, STEPS);
  const [logSnr, other] = [logRatios(bars), logRatios(alphaBar(schedule === "linear" ? "cosine" : "linear", STEPS))];
  const grid = linspace(-3.2, 3.2, 129);
  const draws = random(seed);
  const paths = Array.from({ length: 8 }, () => path(bars, draws));
  const frames = Array.from({ length: STEPS / EACH + 1 }, (_, at) => {
    const t = EACH * at;
    const frame = { t, signal: Math.sqrt(bars[t]), sigma: Math.sqrt(1 - bars[t]), density: density(grid, bars[t]) };
    return t === 0 ? frame : { ...frame, logSnr: logSnr[t - 1] };
  });
  const from = bars.findIndex((bar) => bar < 0.01);
  return { grid, noise: grid.map((x) => normal(x)), alphaBar: bars, logSnr, other, paths, frames, weak: { from, count: STEPS + 1 - from } };
}

export function draw(picture, values, { at, frame, parameters: { schedule }, words: text, answered }) {
  const { t } = frame;
  const curve = (heights) => values.grid.map((x, where) => [x, heights[where]]);
  picture.plot({ x: [-3.2, 3.2], y: [0, 0.8], title: text.density(t), xLabel: "xₜ" })
    .line(curve(values.frames[0].density), { color: "signal", dash: "2 3" }).line(curve(values.noise), { color: "noise", dash: "6 4" })
    .area(curve(frame.density), { color: "q" }).line(curve(frame.density), { color: "q" })
    .points(values.paths.map((one) => [one[at], 0.015]), { color: "q", size: 3.5 })
    .legend([[text.q, "q"], [text.data, "signal"], [text.noise, "noise"]]);
  const paths = picture.plot({ x: [0, STEPS], y: [-3.2, 3.2], title: text.paths, xLabel: "t", yLabel: "xₜ" }).rule({ x: t });
  for (const one of values.paths) paths.line(one.slice(0, at + 1).map((x, where) => [EACH * where, x]), { color: "q", thick: 1.2, opacity: 0.7 });
  paths.points(values.paths.map((one) => [t, one[at]]), { color: "q", size: 3.5 });
  picture.plot({ x: [0, STEPS], y: [0, 1.25], title: text.factors, xLabel: "t" }).rule({ x: t })
    .line(values.frames.map((one) => [one.t, one.signal]), { color: "signal" }).line(values.frames.map((one) => [one.t, one.sigma]), { color: "noise" })
    .points([[t, frame.signal], [t, frame.sigma]], { color: (where) => ["signal", "noise"][where], size: 4, opacity: 1 })
    .legend([[text.signalFactor, "signal"], [text.noiseFactor, "noise"]]);
  const ratio = picture.plot({ x: [0, STEPS], y: [-21, 12], title: text.ratio, xLabel: "t" }).rule({ x: t });
  if (answered) ratio.area([[values.weak.from, 12], [STEPS, 12]], { color: "bad", opacity: 0.12, base: -21 });
  ratio.line(values.other.map((one, where) => [where + 1, one]), { color: "quiet", dash: "4 3", thick: 1.2 })
    .line(values.logSnr.map((one, where) => [where + 1, one]), { color: "signal" })
    .rule({ y: Math.log(0.01 / 0.99), dash: "2 3", thick: 1 }).text([10, Math.log(0.01 / 0.99)], text.threshold, { color: "quiet", dy: 14 })
    .points(t === 0 ? [] : [[t, frame.logSnr]], { color: "signal", size: 4, opacity: 1 })
    .legend([[text.options.schedule[schedule], "signal"], [text.options.schedule[schedule === "linear" ? "cosine" : "linear"], "quiet"]]);
  picture.say(text.now(frame), "signal");
  if (answered) picture.say(text.weak(values, { schedule }), "bad");
}
