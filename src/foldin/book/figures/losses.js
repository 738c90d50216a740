// One target, several losses: the mean gradient of each loss at given scores, beside that of the full softmax.

import { random, sum } from "./math.js";

export const name = "losses";

const NEXT = [0.4, 0.25, 0.2, 0.1, 0.05]; // p(i), for one history
const POPULAR = [0.15, 0.3, 0.2, 0.25, 0.1]; // shares of all events
const ITEMS = NEXT.map((_, item) => item);

export const parameters = [
  { name: "scores", min: 0, max: 1, step: 0.05, start: 0 },
  { name: "added", min: -2, max: 2, step: 0.1, start: 0 },
  { name: "drawn", options: ["popular", "uniform"], start: "popular" },
  { name: "negatives", min: 1, max: 8, step: 1, start: 2 },
  { name: "seed", min: 1, max: 20, step: 1, start: 1 },
];

export const right = 1;

const short = (value) => (Math.abs(value) < 0.005 ? 0 : value).toFixed(2);
const KINDS = ["full", "corrected", "plain", "bce", "gbce"];

export const words = {
  en: {
    title: "where each loss leads the scores",
    scores: "Scores fᵢ, from log p(i) (0) to log p(i) / (S q₋(i)) (1)", added: "Added to the score of item 1",
    drawn: "Negatives are drawn", options: { drawn: { popular: "by popularity", uniform: "uniformly" } },
    negatives: "Number of negatives S", seed: "Draw shown by crosses",
    question: "The scores are log p(i), where the mean gradient of the full softmax is zero, and negatives are drawn by popularity. For which sampled loss is the mean gradient zero there, too?",
    choices: ["For the sampled softmax with log-Q correction, whatever S is", "For none, but with the correction it goes to zero as S grows", "For BCE with one negative"],
    because: "The correction makes the mean of e^Â right, but the gradient divides by e^Â, and the mean of a quotient is not the quotient of the means. Without the correction, and for BCE, the zero is where the scores contain log p(i) / q₋(i): move the first slider to 1.",
    items: "The items", labels: ["p(i), next", "q₋(i), drawn", "score fᵢ"],
    columns: ["1", "2", "3", "4", "5"], item: "item i", gradient: "gradient by fᵢ, in nats", mean: "mean", full: "full softmax", one: "one draw",
    names: { corrected: "Sampled softmax with log-Q correction", plain: "Sampled softmax without correction", bce: "BCE with S negatives", gbce: "gBCE with b = 1, uniform negatives" },
    losses: "Loss in nats, averaged over the targets", lossColumns: ["mean", "one draw"], lossRows: ["full softmax", "sampled, corrected", "sampled, not corrected", "BCE", "gBCE"],
    told: (values) => `The crosses: negatives ${values.picked.map((item) => item + 1).join(", ")}, used for every target (for gBCE, as many items other than the target). The largest difference of a mean gradient from that of the full softmax is ${values.corrected.off.toFixed(3)} with the correction, ${values.plain.off.toFixed(3)} without it.`,
    describe: (values, _, parameters) => `With ${parameters.negatives} negatives, the mean gradients of items 1 to 5 are: ${KINDS.map((one, at) => `${words.en.lossRows[at]} ${values[one].gradient.map(short).join(", ")}`).join("; ")}.`,
  },
  ko: {
    title: "손실마다 점수가 어디로 가는지",
    scores: "점수 fᵢ: log p(i)(0)에서 log p(i) / (S q₋(i))(1)까지", added: "아이템 1의 점수에 더하는 값",
    drawn: "네거티브를 뽑는 방법", options: { drawn: { popular: "인기에 비례하여", uniform: "고르게" } },
    negatives: "네거티브의 수 S", seed: "×로 표시할 표본의 번호",
    question: "점수가 log p(i)이면 전체 소프트맥스의 평균 기울기는 0입니다. 네거티브를 인기에 비례하여 뽑는다면, 네거티브를 쓰는 손실 가운데 이 점수에서 평균 기울기가 0인 것은 무엇일까요?",
    choices: ["log-Q 보정을 한 표본 소프트맥스. S가 얼마든 0이다", "없다. 다만 보정을 하면 S가 커질수록 0에 가까워진다", "네거티브가 하나인 BCE"],
    because: "보정을 하면 e^Â의 평균은 맞지만 기울기는 e^Â으로 나눈 값이고, 나눈 값의 평균은 평균끼리 나눈 값과 같지 않습니다. 보정하지 않은 표본 소프트맥스와 BCE의 기울기는 점수에 log p(i) / q₋(i)가 들어 있을 때 0입니다. 첫 번째 슬라이더를 1로 옮겨 보세요.",
    items: "아이템", labels: ["p(i): 다음에 올 확률", "q₋(i): 뽑힐 확률", "점수 fᵢ"],
    columns: ["1", "2", "3", "4", "5"], item: "아이템 i", gradient: "fᵢ에 대한 기울기 (nat)", mean: "평균", full: "전체 소프트맥스", one: "표본 하나",
    names: { corrected: "log-Q 보정을 한 표본 소프트맥스", plain: "보정하지 않은 표본 소프트맥스", bce: "네거티브가 S개인 BCE", gbce: "b = 1인 gBCE(고르게 뽑은 네거티브)" },
    losses: "정답에 대해 평균한 손실 (nat)", lossColumns: ["평균", "표본 하나"], lossRows: ["전체 소프트맥스", "표본, 보정함", "표본, 보정하지 않음", "BCE", "gBCE"],
    told: (values) => `×는 네거티브가 ${values.picked.map((item) => item + 1).join(", ")}일 때입니다. 모든 정답에 이 네거티브를 씁니다(gBCE는 정답이 아닌 아이템에서 같은 수만큼 뽑습니다). 평균 기울기가 전체 소프트맥스와 가장 크게 다른 곳의 차이는 보정을 하면 ${values.corrected.off.toFixed(3)}, 하지 않으면 ${values.plain.off.toFixed(3)}입니다.`,
    describe: (values, _, parameters) => `네거티브가 ${parameters.negatives}개일 때 아이템 1부터 5까지의 평균 기울기는 다음과 같습니다. ${KINDS.map((one, at) => `${words.ko.lossRows[at]} ${values[one].gradient.map(short).join(", ")}`).join("; ")}.`,
  },
};

const logistic = (score) => 1 / (1 + Math.exp(-score));
const softplus = (score) => Math.max(score, 0) + Math.log1p(Math.exp(-Math.abs(score)));

// Adds a loss and its gradient to a mean, with a probability. Here −log of the target's share of a softmax in which each negative counts
// `unit[i]` times, and those that equal the target `own` times; e: exp of the scores.
function addSoftmax(into, chance, e, y, counts, unit, own) {
  const part = (i) => e[i] * counts[i] * (i === y ? own : unit[i]) + (i === y ? e[y] : 0);
  let all = 0;
  for (const i of ITEMS) all += part(i);
  into.loss += chance * Math.log(all / e[y]);
  for (const i of ITEMS) into.gradient[i] += chance * (part(i) / all - (i === y ? 1 : 0));
}

function addBinary(into, chance, f, y, counts, beta) {
  into.loss += chance * (beta * softplus(-f[y]) + sum(f.map((one, i) => counts[i] * softplus(one))));
  for (const i of ITEMS) into.gradient[i] += chance * (counts[i] * logistic(f[i]) - (i === y ? beta * logistic(-f[i]) : 0));
}

// How S draws from q can fall on the items: [counts, probability] of every way.
function ways(S, q) {
  const factorial = (count) => (count < 2 ? 1 : count * factorial(count - 1));
  const found = [];
  const go = (counts, left, weight) => {
    const chance = q[counts.length];
    if (counts.length === q.length - 1) found.push([[...counts, left], (weight * chance ** left) / factorial(left)]);
    else for (let count = 0; count <= left; count += 1) go([...counts, count], left - count, (weight * chance ** count) / factorial(count));
  };
  go([], S, factorial(S));
  return found;
}

export function compute({ scores, added, drawn, negatives: S, seed }) {
  const q = drawn === "uniform" ? ITEMS.map(() => 1 / ITEMS.length) : POPULAR;
  const f = NEXT.map((p, i) => Math.log(p) - scores * Math.log(S * q[i]) + (i === 0 ? added : 0));
  const { uniform } = random(seed);
  const places = Array.from({ length: S }, uniform);
  const upTo = ITEMS.map((i) => sum(q.slice(0, i + 1)));
  const picked = places.map((one) => Math.min(upTo.filter((edge) => edge <= one).length, ITEMS.length - 1));
  const others = ITEMS.map((y) => places.map((one) => ITEMS.filter((i) => i !== y)[Math.floor(one * (ITEMS.length - 1))])); // gBCE's negatives
  const count = (list) => ITEMS.map((i) => list.filter((one) => one === i).length);
  const a = S / (ITEMS.length - 1); // β₊ = 1 − b (1 − a) = a at b = 1
  const [e, ones, correction] = [f.map(Math.exp), ITEMS.map(() => 1), q.map((one) => 1 / (S * one))];
  // Each adds its loss for one target and one set of negatives, by their counts.
  const add = {
    full: (into, chance, y) => addSoftmax(into, chance, e, y, ones, ones, 0),
    corrected: (into, chance, y, counts) => addSoftmax(into, chance, e, y, counts, correction, 0),
    plain: (into, chance, y, counts) => addSoftmax(into, chance, e, y, counts, ones, 1),
    bce: (into, chance, y, counts) => addBinary(into, chance, f, y, counts, 1),
    gbce: (into, chance, y, counts) => addBinary(into, chance, f, y, counts, a),
  };
  // Means over the targets, and over sets of negatives for each of them: [counts, probability].
  const meanOf = (kind, sets) => {
    const into = { loss: 0, gradient: ITEMS.map(() => 0) };
    for (const y of ITEMS) for (const [counts, chance] of sets(y)) add[kind](into, NEXT[y] * chance, y, counts);
    return into;
  };
  const all = ways(S, q);
  const full = meanOf("full", () => [[ones, 1]]);
  const both = (kind, sets, one) => {
    const expected = meanOf(kind, sets);
    return { ...expected, one: meanOf(kind, one), off: Math.max(...expected.gradient.map((each, i) => Math.abs(each - full.gradient[i]))) };
  };
  return {
    p: NEXT, q, f, picked, others, beta: a, full,
    corrected: both("corrected", () => all, () => [[count(picked), 1]]),
    plain: both("plain", () => all, () => [[count(picked), 1]]),
    // The binary losses are linear in the counts, so that their means are those at the mean counts.
    bce: both("bce", () => [[q.map((one) => S * one), 1]], () => [[count(picked), 1]]),
    gbce: both("gbce", (y) => [[ITEMS.map((i) => (i === y ? 0 : a)), 1]], (y) => [[count(others[y]), 1]]),
  };
}

export function draw(picture, values, { words: text }) {
  const at = (gradient) => gradient.map((value, i) => [i + 1, value]);
  for (const pair of [["corrected", "plain"], ["bce", "gbce"]]) {
    const shown = [values.full, ...pair.flatMap((one) => [values[one], values[one].one])];
    const reach = 1.1 * Math.max(0.2, ...shown.flatMap((one) => one.gradient.map(Math.abs)));
    for (const one of pair) {
      picture.plot({ x: [0.4, 5.6], y: [-reach, 1.8 * reach], title: text.names[one], xLabel: text.item, yLabel: text.gradient, height: 210 })
        .columns(values[one].gradient.map((value, i) => ({ x: i + 1, value, color: "q" })), { thick: 0.6, opacity: 0.6 }).rule({ y: 0 })
        .points(at(values.full.gradient), { color: "p", shape: "square", size: 3.5, opacity: 1 })
        .points(at(values[one].one.gradient), { color: "noise", shape: "cross", size: 3.5, opacity: 1 })
        .legend([[text.mean, "q"], [`■ ${text.full}`, "p"], [`× ${text.one}`, "noise"]]);
    }
  }
  picture.matrix({ title: text.items, values: [values.p, values.q, values.f], rows: text.labels, columns: text.columns, most: 4 });
  const losses = KINDS.map((one) => [values[one].loss, values[one].one?.loss ?? null]);
  picture.matrix({ title: text.losses, values: losses, rows: text.lossRows, columns: text.lossColumns, digits: 3, most: 8 });
  picture.say(text.told(values), "q");
}
