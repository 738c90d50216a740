// The bootstrap of the difference of two models, with the users paired and not paired; the users are simulated.

import { mean, random, sum } from "./math.js";

export const name = "bootstrap-ndcg";

const [LEVEL, SD, RESAMPLES] = [0.4, 0.165, 1000]; // the mean NDCG of model B, σ of both models, and the number of resamples
const [LOW, HIGH, BINS] = [-0.2, 0.3, 100];

export const parameters = [
  { name: "users", min: 20, max: 200, step: 10, start: 60 },
  { name: "rho", min: 0, max: 0.95, step: 0.05, start: 0.9 },
  { name: "difference", min: 0, max: 0.1, step: 0.005, start: 0.03 },
  { name: "seed", min: 1, max: 20, step: 1, start: 1 },
];

export const right = 1;

const signed = (value) => value.toFixed(3).replace("-", "−");
const interval = ([low, high]) => `[${signed(low)}, ${signed(high)}]`;

const hasZero = ([low, high]) => low <= 0 && high >= 0;

export const words = {
  en: {
    title: "two models on the same users, paired and not paired",
    users: "Number of users N",
    rho: "Correlation ρ of the two models over users",
    difference: "True difference of the mean NDCG",
    seed: "Sample of simulated users",
    question: "Two models are tested on the same 60 users. The 95 % intervals of their mean NDCG overlap widely. Can the interval of the mean difference exclude 0 all the same?",
    choices: ["No: if the intervals overlap, the difference may be 0", "Yes, if users who are hard for one model are hard for the other", "Yes, if the values of the two models are independent"],
    because: "What a user does to both models alike cancels in the user’s difference: its variance is 2σ²(1 − ρ). Only a resample that draws a user with both values at once keeps this; the models’ own intervals do not contain ρ.",
    scatter: "Simulated users", f: "NDCG of model A", g: "NDCG of model B",
    separate: "Not paired: users drawn for A and B separately",
    together: "Paired: a user is drawn with both values",
    axis: "mean difference A − B in a resample",
    count: "resamples", truth: "true",
    table: "95 % percentile intervals",
    rows: ["A", "B", "A − B, not paired", "A − B, paired"],
    columns: ["mean", "SE", "low", "high"],
    told: (values) => `The interval without pairing, ${interval(values.separate.ends)}, ${hasZero(values.separate.ends) ? "contains 0" : "excludes 0"}. The paired one, ${interval(values.together.ends)}, ${hasZero(values.together.ends) ? "contains 0" : "excludes 0"}. The correlation in this sample is ${values.correlation.toFixed(2)}.`,
    describe: (values, _, parameters) => `For ${parameters.users} simulated users the mean difference is ${values.difference.toFixed(3)}. Its 95 % interval is ${interval(values.separate.ends)} without pairing and ${interval(values.together.ends)} with it.`,
  },
  ko: {
    title: "같은 사용자에게 시험한 두 모델: 짝을 지을 때와 짓지 않을 때",
    users: "사용자 수 N",
    rho: "사용자에 대한 두 모델의 상관계수 ρ",
    difference: "평균 NDCG의 참 차이",
    seed: "시뮬레이션한 사용자 표본의 번호",
    question: "두 모델을 같은 사용자 60명에게 시험했더니, 평균 NDCG의 95 % 신뢰구간이 서로 많이 겹칩니다. 그래도 평균 차이의 구간이 0을 벗어날 수 있을까요?",
    choices: ["없다. 구간이 겹치면 차이가 0일 수 있다", "있다. 한 모델에 어려운 사용자가 다른 모델에도 어려울 때 그렇다", "있다. 두 모델의 값이 서로 독립일 때 그렇다"],
    because: "한 사용자가 두 모델에 똑같이 주는 영향은 그 사용자의 차이에서 사라지고, 차이의 분산은 2σ²(1 − ρ)가 됩니다. 재표본에서 사용자를 두 값과 함께 통째로 뽑아야 이것이 살아남습니다. 모델마다의 구간에는 ρ가 들어 있지 않습니다.",
    scatter: "시뮬레이션한 사용자", f: "모델 A의 NDCG", g: "모델 B의 NDCG",
    separate: "짝을 짓지 않음: A의 사용자와 B의 사용자를 따로 뽑습니다",
    together: "짝을 지음: 사용자를 두 값과 함께 뽑습니다",
    axis: "재표본의 평균 차이 A − B",
    count: "재표본 수", truth: "참값",
    table: "95 % 백분위수 구간",
    rows: ["A", "B", "A − B, 짝 없이", "A − B, 짝지어"],
    columns: ["평균", "SE", "아래쪽 끝", "위쪽 끝"],
    told: (values) => `짝을 짓지 않은 구간 ${interval(values.separate.ends)}에는 0이 ${hasZero(values.separate.ends) ? "들어 있습니다" : "없습니다"}. 짝을 지은 구간 ${interval(values.together.ends)}에는 0이 ${hasZero(values.together.ends) ? "들어 있습니다" : "없습니다"}. 이 표본의 상관계수는 ${values.correlation.toFixed(2)}입니다.`,
    describe: (values, _, parameters) => `시뮬레이션한 사용자 ${parameters.users}명에 대한 평균 차이는 ${values.difference.toFixed(3)}입니다. 95 % 구간은 짝을 짓지 않으면 ${interval(values.separate.ends)}, 짝을 지으면 ${interval(values.together.ends)}입니다.`,
  },
};

// A quantile by linear interpolation between the two nearest values.
function quantile(sorted, share) {
  const place = share * (sorted.length - 1);
  const below = Math.floor(place);
  return sorted[below] + (place - below) * (sorted[Math.min(below + 1, sorted.length - 1)] - sorted[below]);
}

const ends = (means) => {
  const sorted = Float64Array.from(means).sort();
  return [quantile(sorted, 0.025), quantile(sorted, 0.975)];
};

// Σ (a − ā) (b − b̄).
function product(a, b) {
  const [ofA, ofB] = [mean(a), mean(b)];
  return sum(a.map((one, n) => (one - ofA) * (b[n] - ofB)));
}

export function compute({ users: N, rho, difference, seed }) {
  const { gaussian } = random(seed + 6);
  const [f, g] = [[], []];
  const share = (value) => Math.min(Math.max(value, 0), 1);
  for (let n = 0; n < N; n += 1) {
    const [both, own] = [gaussian(), gaussian()];
    g.push(share(LEVEL + SD * both));
    f.push(share(LEVEL + difference + SD * (rho * both + Math.sqrt(1 - rho * rho) * own)));
  }
  const { uniform } = random(1000);
  const resamples = { f: [], g: [], together: [], separate: [] };
  for (let s = 0; s < RESAMPLES; s += 1) {
    let [ofF, ofG, apart] = [0, 0, 0];
    for (let n = 0; n < N; n += 1) {
      const [user, other] = [Math.floor(uniform() * N), Math.floor(uniform() * N)];
      ofF += f[user];
      ofG += g[user];
      apart += g[other];
    }
    resamples.f.push(ofF / N);
    resamples.g.push(apart / N);
    resamples.together.push((ofF - ofG) / N);
    resamples.separate.push((ofF - apart) / N);
  }
  // The variance over resamples is known: (N − 1) / N · σ̂² / N = Σ (f − f̄)² / N².
  const [ff, gg, fg] = [product(f, f), product(g, g), product(f, g)];
  const of = (kind, squares) => ({ resamples: resamples[kind], ends: ends(resamples[kind]), error: Math.sqrt(Math.max(squares, 0)) / N });
  return {
    f, g, means: [mean(f), mean(g)], difference: mean(f) - mean(g), correlation: fg / Math.sqrt(ff * gg),
    a: of("f", ff), b: of("g", gg), separate: of("separate", ff + gg), together: of("together", ff + gg - 2 * fg),
  };
}

export function draw(picture, values, { parameters: { difference }, words: text }) {
  const tops = values.f.map((one, n) => [values.g[n], one]);
  picture.plot({ x: [0, 1], y: [0, 1], title: text.scatter, xLabel: text.g, yLabel: text.f, equal: true })
    .line([[0, 0], [1, 1]], { color: "quiet", dash: "4 3", thick: 1.5 }).points(tops, { color: "q", opacity: 0.6 });
  const row = (average, { error, ends: [low, high] }) => [average, error, low, high];
  picture.matrix({
    title: text.table, rows: text.rows, columns: text.columns, digits: 3, most: 1,
    values: [
      row(values.means[0], values.a), row(values.means[1], values.b),
      row(values.difference, values.separate), row(values.difference, values.together),
    ],
    marked: (i) => (i === 3 ? "marked" : ""),
  });
  const width = (HIGH - LOW) / BINS;
  for (const [kind, color] of [["separate", "p"], ["together", "q"]]) {
    const counts = Array.from({ length: BINS }, () => 0);
    for (const one of values[kind].resamples) counts[Math.min(Math.max(Math.floor((one - LOW) / width), 0), BINS - 1)] += 1;
    const [low, high] = values[kind].ends;
    const size = { height: 170, width: 560, wide: true, yTicks: 3 };
    picture.plot({ ...size, x: [LOW, HIGH], y: [0, 1.2 * Math.max(...counts)], title: text[kind], xLabel: text.axis, yLabel: text.count })
      .columns(counts.map((value, bin) => ({ x: LOW + (bin + 0.5) * width, value, color })), { thick: width, opacity: 0.6 })
      .rule({ x: 0, color: "text", dash: "" }).rule({ x: difference, color: "good" }).rule({ x: low, color }).rule({ x: high, color })
      .legend([[`95 %: ${interval(values[kind].ends)}`, color], [`${text.truth}: ${signed(difference)}`, "good"]]);
  }
  picture.say(text.told(values), "q");
}
