// A codebook that foldin's quantizer learns on points in the plane; and FSQ for the same points: its grid is fixed, and its encoder learns.

import { sum } from "./math.js";

export const name = "codebook";
export const film = "codebook";
export const filmParameters = ["start", "revival"];
export const pace = 200;

export const parameters = [
  { name: "method", options: ["vq", "fsq"], start: "vq" },
  { name: "start", options: ["spread", "corner"], start: "corner" },
  { name: "revival", options: ["off", "on"], start: "off" },
];

export const right = 1;

export const words = {
  en: {
    title: "codes that die, and a grid that cannot",
    method: "Quantizer",
    start: "Where it starts",
    revival: "Vectors of dead codes are reset (VQ only)",
    options: {
      method: { vq: "VQ: a learned codebook", fsq: "FSQ: a fixed grid" },
      start: { spread: "spread out", corner: "all in one corner" },
      revival: { off: "never", on: "to a vector of the batch (revive = 0.1)" },
    },
    step: "Step",
    question: "All 16 vectors of a codebook start in one corner, away from the points, and none is ever reset. How many are in use after 60 batches?",
    choices: ["All 16: the moving averages pull them to the points", "A few: those that were nearest at the start", "None: the corner is too far away"],
    because: "A vector moves only towards the points of its own cell. The few that are nearest to some points at the start take them all and move away with them. The other cells stay empty, and their vectors stay where they are.",
    vq: "VQ: the points stay, the codes move",
    fsq: "FSQ: the codes stay, the points move",
    points: { vq: "outputs zₙ of the encoder", fsq: "bounded outputs of the encoder" },
    used: "codes in use",
    dead: { vq: "dead codes", fsq: "empty cells" },
    reset: "reset at this step",
    uses: "Number of codes",
    perplexity: "perplexity exp(H)",
    error: { vq: "Mean squared error ‖z − ẑ‖²", fsq: "Mean squared error ‖x − x̂‖²" },
    told: ({ method, K }, { error, perplexity, dead }, at) => `After step ${at}: mean squared error ${error.toFixed(3)}, perplexity ${perplexity.toFixed(1)} of K = ${K}, ${method === "vq" ? "dead codes" : "empty cells"}: ${dead}.`,
    how: { vq: "A step is a batch of 60 of the 240 points, by moving averages with ρ = 0.1.", fsq: "The data x are the points of VQ. A step is a gradient step on the encoder z = A x + b and the decoder x̂ = D ẑ + d, straight through the rounding. There is no vector to reset." },
    describe: (values, at) => `${values.method === "vq" ? "Vector" : "Finite scalar"} quantization. ${words.en.told(values, values.frames[at], at)}`,
  },
  ko: {
    title: "죽는 코드와 죽지 않는 격자",
    method: "양자화 방법",
    start: "시작 위치",
    revival: "죽은 코드의 벡터 다시 놓기 (VQ만)",
    options: {
      method: { vq: "VQ: 학습하는 코드북", fsq: "FSQ: 고정된 격자" },
      start: { spread: "고루 퍼뜨린 곳", corner: "모두 한 구석" },
      revival: { off: "하지 않음", on: "배치의 벡터 하나로 (revive = 0.1)" },
    },
    step: "단계",
    question: "코드북의 벡터 16개가 모두 점들에서 떨어진 한 구석에서 시작하고, 다시 놓는 일은 없습니다. 배치 60개를 지나면 몇 개가 쓰이고 있을까요?",
    choices: ["16개 모두. 이동 평균이 점들 쪽으로 끌어당긴다", "몇 개만. 처음에 가장 가까웠던 벡터들이다", "하나도 없다. 구석이 너무 멀다"],
    because: "벡터는 자기 셀에 있는 점들 쪽으로만 움직입니다. 처음에 어떤 점에든 가장 가까운 몇 개가 점을 모두 차지하고 함께 떠납니다. 나머지 셀은 비어 있으므로 그 벡터들은 제자리에 머뭅니다.",
    vq: "VQ: 점은 그대로, 코드가 움직인다",
    fsq: "FSQ: 코드는 그대로, 점이 움직인다",
    points: { vq: "인코더의 출력 zₙ", fsq: "유한한 범위에 넣은 인코더의 출력" },
    used: "쓰이는 코드",
    dead: { vq: "죽은 코드", fsq: "빈 셀" },
    reset: "이 단계에서 다시 놓은 벡터",
    uses: "코드의 개수",
    perplexity: "퍼플렉시티 exp(H)",
    error: { vq: "평균 제곱 오차 ‖z − ẑ‖²", fsq: "평균 제곱 오차 ‖x − x̂‖²" },
    told: ({ method, K }, { error, perplexity, dead }, at) => `${at}단계를 지난 뒤: 평균 제곱 오차 ${error.toFixed(3)}, 퍼플렉시티는 K = ${K} 가운데 ${perplexity.toFixed(1)}, ${method === "vq" ? "죽은 코드" : "빈 셀"} ${dead}개.`,
    how: { vq: "한 단계에 점 240개 가운데 60개를 배치로 쓰고, ρ = 0.1인 이동 평균으로 벡터를 옮깁니다.", fsq: "데이터 x는 VQ의 점들입니다. 한 단계마다 인코더 z = A x + b와 디코더 x̂ = D ẑ + d를 기울기로 한 번 고치고, 반올림은 직통으로 지나갑니다. 다시 놓을 벡터가 없습니다." },
    describe: (values, at) => `${values.method === "vq" ? "벡터 양자화" : "유한 스칼라 양자화"}. ${words.ko.told(values, values.frames[at], at)}`,
  },
};

const SIDE = 4; // values of each coordinate of FSQ, so that it has as many codes as the codebook
const HALF = (SIDE - 1) / 2;
const GRID = Array.from({ length: SIDE * SIDE }, (_, k) => [Math.floor(k / SIDE) - HALF, (k % SIDE) - HALF]);
// What FSQ starts with: the rows of [A, b], its encoder, then those of [D, d], its decoder.
const STARTS = { spread: [0.6, 0, 0, 0, 0.6, 0, 1, 0, 0, 0, 1, 0], corner: [0.15, 0, -1.2, 0, 0.15, -1.2, 1, 0, 0, 0, 1, 0] };
const RATE = 0.15;

const used = (counts) => {
  const shares = counts.filter((one) => one > 0).map((one) => one / sum(counts));
  return { counts, perplexity: Math.exp(-sum(shares.map((one) => one * Math.log(one)))), dead: counts.filter((one) => one === 0).length };
};

// A frame of VQ: every point goes to the nearest vector.
function assigned(points, codes, reset) {
  const [first, second] = [0, 1].map((axis) => Float64Array.from(codes, (one) => one[axis]));
  const counts = codes.map(() => 0);
  let error = 0;
  for (let n = 0; n < points.length; n += 1) {
    const x = points[n][0];
    const y = points[n][1];
    let best = 0;
    let least = Infinity;
    for (let k = 0; k < first.length; k += 1) {
      const squared = (x - first[k]) * (x - first[k]) + (y - second[k]) * (y - second[k]);
      if (squared < least) { best = k; least = squared; }
    }
    counts[best] += 1;
    error += least / points.length;
  }
  return { points, codes, reset, error, ...used(counts) };
}

// The frames of FSQ: gradient steps on the mean of ‖x − x̂‖², with the slope of the bounded value in the place of that of the rounded one.
function learned(points, weights, steps) {
  return Array.from({ length: steps + 1 }, () => {
    const w = weights;
    const [counts, bounded, slope, part] = [GRID.map(() => 0), [], new Float64Array(12), new Float64Array(12)];
    let error = 0;
    for (let n = 0; n < points.length; n += 1) {
      const x = points[n][0];
      const y = points[n][1];
      const s = Math.tanh(w[0] * x + w[1] * y + w[2]);
      const t = Math.tanh(w[3] * x + w[4] * y + w[5]);
      const u = Math.round(HALF * s - 0.5) + 0.5;
      const v = Math.round(HALF * t - 0.5) + 0.5;
      bounded.push([HALF * s, HALF * t]);
      counts[SIDE * (u + HALF) + v + HALF] += 1;
      const p = w[6] * u + w[7] * v + w[8] - x;
      const q = w[9] * u + w[10] * v + w[11] - y;
      error += p * p + q * q;
      const f = (p * w[6] + q * w[9]) * HALF * (1 - s * s);
      const g = (p * w[7] + q * w[10]) * HALF * (1 - t * t);
      part[0] = f * x; part[1] = f * y; part[2] = f; part[3] = g * x; part[4] = g * y; part[5] = g;
      part[6] = p * u; part[7] = p * v; part[8] = p; part[9] = q * u; part[10] = q * v; part[11] = q;
      for (let k = 0; k < 12; k += 1) slope[k] += part[k];
    }
    weights = w.map((one, k) => one - (2 * RATE * slope[k]) / points.length);
    return { points: bounded, codes: GRID, reset: [], error: error / points.length, weights: w, ...used(counts) };
  });
}

export function compute({ method, start }, { points, codes, reset }) {
  const frames = method === "vq" ? codes.map((now, at) => assigned(points, now, reset[at])) : learned(points, STARTS[start], codes.length - 1);
  return { method, K: codes[0].length, frames };
}

export function draw(picture, values, { at, frame, words: text }) {
  const { method, K, frames } = values;
  const [reach, coordinate] = method === "vq" ? [2.5, (sub) => `z${sub}`] : [1.75, (sub) => `${HALF} · tanh(z${sub})`];
  const [live, dead] = [true, false].map((want) => frame.codes.filter((_, k) => frame.counts[k] > 0 === want));
  const reset = frame.reset.map((k) => frame.codes[k]);
  const legend = [[text.points[method], "data"], [text.used, "q"], [text.dead[method], "bad"], ...(reset.length ? [[text.reset, "good"]] : [])];
  const title = text[method];
  picture.plot({ x: [-reach, reach], y: [-reach, 1.35 * reach], title, xLabel: coordinate("₁"), yLabel: coordinate("₂"), equal: true })
    .cells(frame.codes, { color: (k) => (frame.counts[k] > 0 ? "quiet" : "bad"), fill: 0.08 })
    .points(frame.points, { color: "data", size: 1.8, opacity: 0.6 })
    .points(live, { color: "q", size: 4.5, opacity: 1 })
    .points(dead, { color: "bad", size: 4.5, opacity: 1, shape: "cross" })
    .points(reset, { color: "good", size: 4.5, opacity: 1, shape: "square" })
    .legend(legend);
  const curve = (key) => frames.map((one, step) => [step, one[key]]);
  const time = { x: [0, frames.length - 1], xLabel: text.step };
  picture.plot({ ...time, y: [0, 1.4 * K], title: text.uses }).rule({ y: K }).rule({ x: at })
    .line(curve("perplexity"), { color: "information" }).line(curve("dead"), { color: "bad" })
    .points([[at, frame.perplexity]], { color: "information", size: 4, opacity: 1 })
    .points([[at, frame.dead]], { color: "bad", size: 4, opacity: 1 })
    .legend([[text.perplexity, "information"], [text.dead[method], "bad"], [`K = ${K}`, "quiet"]]);
  picture.plot({ ...time, y: [0.02, 10], yLog: true, title: text.error[method] }).rule({ x: at })
    .line(curve("error"), { color: "reconstruction" }).points([[at, frame.error]], { color: "reconstruction", size: 4, opacity: 1 });
  picture.say(text.told(values, frame, at), "information");
  picture.say(text.how[method]);
}
