// Causal self-attention over a history of five events: the weights of one position, with the mask and without.

import { logSumExp, softmax, sum } from "./math.js";

export const name = "attention-mask";

const EVENTS = 5;
const QUERIES = [[1.2, 0.6], [0.4, 1.3], [0.9, -0.8], [-0.7, 1.1], [1.0, 0.9]];
const KEYS = [[1.5, 0.3], [-0.6, 1.6], [0.4, -1.7], [1.3, -1.1], [0.9, 1.4]];
const INDEX = ["₁", "₂", "₃", "₄", "₅"];

export const parameters = [
  { name: "mask", options: ["causal", "none"], start: "causal" },
  { name: "position", min: 1, max: EVENTS, step: 1, start: 3 },
  { name: "turn", min: -180, max: 180, step: 5, start: 0 },
  { name: "scale", min: 0, max: 2.5, step: 0.1, start: 1 },
];

export const right = 1;

export const words = {
  en: {
    title: "attention with the causal mask and without it",
    mask: "Mask",
    options: { mask: { causal: "causal: a position sees itself and earlier events", none: "none: a position sees all events" } },
    position: "Position t",
    turn: "Queries turned by, in degrees",
    scale: "Length of the queries, as a multiple",
    question: "Take the mask away. What happens at position 3 to the weights of the events 1, 2 and 3?",
    choices: ["They stay: events 4 and 5 get their weights in addition", "They shrink, all three by the same factor", "They shrink, and the order among them may change"],
    because: "The mask takes summands out of the denominator of the softmax and leaves the others as they are, so the weights with the mask are those without it, divided by their sum. What the first three lose, events 4 and 5 gain, and event 4 is the very answer that position 3 is to predict.",
    vectors: (t) => `Query of position ${t}, and the keys`,
    query: (t) => `Q${INDEX[t - 1]}`,
    key: (t) => `K${INDEX[t - 1]}`,
    weights: "Weights: row t sums to 1",
    rows: ["t = 1", "t = 2", "t = 3", "t = 4", "t = 5"],
    columns: ["t′ = 1", "t′ = 2", "t′ = 3", "t′ = 4", "t′ = 5"],
    row: (t) => `Row ${t}: the weight of each event`,
    event: "event t′",
    masked: "with the mask",
    open: "without, itself and earlier",
    later: "without, later events",
    told: (values, t) => (t === EVENTS ? "Position 5 is the last: no event is later, and the mask changes nothing. Its answer is not in the history." : `Without the mask, position ${t} gives the share ${values.leak[t - 1].toFixed(2)} of its weight to later events, ${values.open[t - 1][t].toFixed(2)} of it to event ${t + 1}, its answer. With the mask, each other weight is divided by ${values.kept[t - 1].toFixed(2)}.`),
    describe: (values, _, parameters) => `Position ${parameters.position}, ${parameters.mask === "causal" ? "with the causal mask" : "without a mask"}: the weights of events 1 to 5 are ${values.weights[parameters.position - 1].map((one) => one.toFixed(2)).join(", ")}. Without the mask, ${values.leak[parameters.position - 1].toFixed(2)} is on later events.`,
  },
  ko: {
    title: "인과 마스크가 있는 어텐션과 없는 어텐션",
    mask: "마스크",
    options: { mask: { causal: "인과 마스크: 자기 자신과 앞의 이벤트만 봅니다", none: "없음: 모든 이벤트를 봅니다" } },
    position: "자리 t",
    turn: "쿼리를 돌린 각도 (도)",
    scale: "쿼리 길이의 배율",
    question: "마스크를 없애면 3번째 자리에서 이벤트 1, 2, 3의 가중치는 어떻게 될까요?",
    choices: ["그대로 있고, 이벤트 4와 5의 가중치가 더해진다", "셋 모두 같은 비율로 작아진다", "작아지면서 셋 사이의 순서가 바뀔 수도 있다"],
    because: "마스크는 소프트맥스의 분모에서 항 몇 개를 뺄 뿐 나머지 항은 그대로 둡니다. 그래서 마스크가 있을 때의 가중치는 마스크가 없을 때의 가중치를 그 합으로 나눈 것입니다. 앞의 셋이 잃은 만큼을 이벤트 4와 5가 얻는데, 이벤트 4는 바로 3번째 자리가 맞혀야 할 정답입니다.",
    vectors: (t) => `${t}번째 자리의 쿼리와 모든 키`,
    query: (t) => `Q${INDEX[t - 1]}`,
    key: (t) => `K${INDEX[t - 1]}`,
    weights: "가중치: 행마다 합이 1",
    rows: ["t = 1", "t = 2", "t = 3", "t = 4", "t = 5"],
    columns: ["t′ = 1", "t′ = 2", "t′ = 3", "t′ = 4", "t′ = 5"],
    row: (t) => `${t}번째 행: 이벤트마다의 가중치`,
    event: "이벤트 t′",
    masked: "마스크 있음",
    open: "마스크 없음, 자신과 앞의 이벤트",
    later: "마스크 없음, 뒤의 이벤트",
    told: (values, t) => (t === EVENTS ? "5번째는 마지막 자리여서 뒤의 이벤트가 없고, 마스크가 있으나 없으나 같습니다. 정답은 이력에 들어 있지 않습니다." : `마스크가 없으면 ${t}번째 자리가 뒤의 이벤트에 주는 가중치의 합은 ${values.leak[t - 1].toFixed(2)}이고, 그 가운데 ${values.open[t - 1][t].toFixed(2)}은 정답인 이벤트 ${t + 1}의 몫입니다. 마스크가 있으면 나머지 가중치를 그 합(${values.kept[t - 1].toFixed(2)})으로 나눕니다.`),
    describe: (values, _, parameters) => `${parameters.position}번째 자리, 마스크 ${parameters.mask === "causal" ? "있음" : "없음"}: 이벤트 1부터 5까지의 가중치는 ${values.weights[parameters.position - 1].map((one) => one.toFixed(2)).join(", ")}입니다. 마스크가 없으면 뒤의 이벤트에 가는 가중치는 ${values.leak[parameters.position - 1].toFixed(2)}입니다.`,
  },
};

export function compute({ mask, turn, scale }) {
  const [cos, sin] = [Math.cos((turn * Math.PI) / 180), Math.sin((turn * Math.PI) / 180)];
  const queries = QUERIES.map(([a, b]) => [scale * (cos * a - sin * b), scale * (sin * a + cos * b)]);
  const products = queries.map((q) => KEYS.map((k) => (q[0] * k[0] + q[1] * k[1]) / Math.sqrt(q.length)));
  const open = products.map(softmax);
  const masked = products.map((row, t) => softmax(row.map((one, other) => (other <= t ? one : -Infinity))));
  // The share of the weight that itself and earlier events have without the mask, by the normalizers.
  const kept = products.map((row, t) => Math.exp(logSumExp(row.slice(0, t + 1)) - logSumExp(row)));
  const leak = open.map((row, t) => sum(row.slice(t + 1)));
  return { queries, keys: KEYS, products, open, masked, weights: mask === "causal" ? masked : open, kept, leak };
}

export function draw(picture, values, { parameters: { mask, position }, words: text, set }) {
  const at = position - 1;
  const seen = (other) => mask === "none" || other <= at;
  const color = (other) => (other <= at ? "q" : "bad");
  const query = values.queries[at];
  const vectors = picture.plot({ x: [-4, 4], y: [-4, 4], title: text.vectors(position), equal: true, xTicks: 4, yTicks: 4 });
  values.keys.forEach((key, other) => {
    const paint = seen(other) ? color(other) : "quiet";
    vectors.arrow([0, 0], key, { color: paint, opacity: seen(other) ? 1 : 0.35 });
    vectors.text(key, text.key(other + 1), { color: paint, dx: key[0] < 0 ? -8 : 6, dy: key[1] < 0 ? 12 : -3, anchor: key[0] < 0 ? "end" : "start" });
  });
  const around = (angle) => Math.round(((((angle * 180) / Math.PI) % 360) + 540) % 360) - 180;
  const moved = ([x, y]) => set({
    turn: around(Math.atan2(y, x) - Math.atan2(QUERIES[at][1], QUERIES[at][0])),
    scale: Math.hypot(x, y) / Math.hypot(...QUERIES[at]),
  });
  vectors.arrow([0, 0], query, { color: "p", thick: 3 }).text(query, text.query(position), { color: "p", dx: 11, dy: 4 }).handle(query, moved, { color: "p" });
  picture.matrix({
    title: text.weights, values: values.weights.map((row, t) => row.map((one, other) => (mask === "causal" && other > t ? null : one))),
    rows: text.rows, columns: text.columns, most: 1, marked: (t) => (t === at ? "marked" : ""),
  });
  picture.plot({ x: [0.4, EVENTS + 0.6], y: [0, 1.4], title: text.row(position), xLabel: text.event, height: 200, width: 520, wide: true })
    .columns(values.masked[at].map((value, other) => ({ x: other + 0.8, value, color: "q" })), { thick: 0.36 })
    .columns(values.open[at].map((value, other) => ({ x: other + 1.2, value, color: other <= at ? "noise" : "bad" })), { thick: 0.36 })
    .legend([[text.masked, "q"], [text.open, "noise"], [text.later, "bad"]]);
  picture.say(text.told(values, position), position < EVENTS ? "bad" : "q");
}
