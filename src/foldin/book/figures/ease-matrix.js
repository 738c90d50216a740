// EASE on five films: how often two films were taken together, the weights of a regression of each film on all others, a new user's scores.

import { sum } from "./math.js";

export const name = "ease-matrix";

const [USERS, FILMS] = [6, 5]; // the row after the users of X is the new user

export const parameters = [
  {
    name: "taken", rows: USERS + 1, columns: FILMS,
    start: [1, 1, 0, 0, 0, 1, 1, 0, 0, 0, 1, 1, 1, 0, 0, 0, 1, 1, 0, 0, 0, 1, 1, 1, 0, 0, 0, 0, 1, 1, 1, 0, 0, 0, 0],
  },
  { name: "lambda", min: 0.2, max: 20, step: 0.2, start: 1 },
];

export const right = 2;

export const words = {
  en: {
    title: "EASE on five films",
    taken: "Who took which film. The first six users are X; the new user is not in it.",
    rows: ["user 1", "user 2", "user 3", "user 4", "user 5", "user 6", "new user"],
    columns: ["film 1", "film 2", "film 3", "film 4", "film 5"],
    lambda: "Regularization λ",
    question: "One user took films 1 and 3 together, and film 2 as well. A new user took film 1 only, and λ is small. What score does film 3 get?",
    choices: ["A positive one, since films 1 and 3 occur together", "Zero, since film 2 connects the two", "A negative one"],
    because: "Column 3 of B is a regression on all other films at once: among users with film 2, those with film 1 took film 3 more rarely, which no entry of XᵀX says alone. As λ grows, the weights shrink and become proportional to the counts, and the score turns positive.",
    gram: "XᵀX: users who took both films",
    weights: "B: weight of the film of the row for the film of the column",
    scores: "Scores of the new user: xᵤ B",
    counted: "For comparison, sums of counts: xᵤ XᵀX",
    user: "new user",
    order: "The outlined cells add up, column by column, to the new user’s scores. Films taken already are left out of the list.",
    none: (all) => (all ? "The new user has taken all films: there is nothing to list." : "The new user has taken no film: every sum is empty and every score is 0."),
    list: (values) => `List by EASE: ${values.order.map((one) => `film ${one + 1}`).join(", ")}. By counts: ${values.byCounts.map((one) => `film ${one + 1}`).join(", ")}.`,
    describe: (values, _, parameters) => {
      const told = values.order.map((one) => `film ${one + 1} has score ${values.scores[one].toFixed(2)}`).join(", ");
      return `With λ = ${parameters.lambda}, the weight of film 1 for film 3 is ${values.B[0][2].toFixed(2)}. For the new user, ${told || "no film is left to score"}.`;
    },
  },
  ko: {
    title: "영화 다섯 편으로 보는 EASE",
    taken: "누가 어떤 영화를 골랐는지 정합니다. X는 위의 여섯 명이고, 새 사용자는 들어 있지 않습니다.",
    rows: ["사용자 1", "사용자 2", "사용자 3", "사용자 4", "사용자 5", "사용자 6", "새 사용자"],
    columns: ["영화 1", "영화 2", "영화 3", "영화 4", "영화 5"],
    lambda: "정칙화의 세기 λ",
    question: "영화 1과 3을 함께 고른 사용자는 한 명이고, 그 사용자는 영화 2도 골랐습니다. 새 사용자는 영화 1만 골랐고 λ는 작습니다. 영화 3의 점수는 어떻게 될까요?",
    choices: ["영화 1과 3을 함께 고른 사용자가 있으므로 양수이다", "둘을 이어 주는 것은 영화 2이므로 0이다", "음수이다"],
    because: "B의 3열은 나머지 영화 모두를 한꺼번에 쓰는 회귀입니다. 영화 2를 고른 사용자만 보면 영화 1도 고른 쪽이 영화 3을 더 드물게 골랐는데, XᵀX의 성분 하나만 보아서는 알 수 없는 일입니다. λ가 커지면 가중치는 작아지면서 횟수에 비례하게 되고, 점수는 양수로 바뀝니다.",
    gram: "XᵀX: 두 영화를 모두 고른 사용자 수",
    weights: "B: 열의 영화를 예측할 때 행의 영화에 주는 가중치",
    scores: "새 사용자의 점수: xᵤ B",
    counted: "비교: 횟수를 그대로 더한 것, xᵤ XᵀX",
    user: "새 사용자",
    order: "테두리를 두른 칸을 열마다 더하면 새 사용자의 점수가 됩니다. 이미 고른 영화는 목록에서 뺍니다.",
    none: (all) => (all ? "새 사용자가 영화를 모두 골라서 추천할 것이 없습니다." : "새 사용자가 고른 영화가 없습니다. 더할 것이 없으므로 점수는 모두 0입니다."),
    list: (values) => `EASE의 목록: ${values.order.map((one) => `영화 ${one + 1}`).join(", ")}. 횟수로 매긴 목록: ${values.byCounts.map((one) => `영화 ${one + 1}`).join(", ")}.`,
    describe: (values, _, parameters) => {
      const told = values.order.map((one) => `영화 ${one + 1}의 점수는 ${values.scores[one].toFixed(2)}`).join(", ");
      return `λ = ${parameters.lambda}일 때 영화 3을 예측하는 영화 1의 가중치는 ${values.B[0][2].toFixed(2)}입니다. 새 사용자에게 ${told ? `${told}입니다` : "점수를 매길 영화가 남아 있지 않습니다"}.`;
    },
  },
};

// The inverse of a positive definite matrix, by Gauss–Jordan elimination; its pivots need no exchange of rows.
function inverse(matrix) {
  const work = matrix.map((row, i) => [...row, ...row.map((_, j) => (i === j ? 1 : 0))]);
  for (let pivot = 0; pivot < work.length; pivot += 1) {
    work[pivot] = work[pivot].map((one) => one / work[pivot][pivot]);
    for (let i = 0; i < work.length; i += 1) if (i !== pivot) work[i] = work[i].map((one, j) => one - work[i][pivot] * work[pivot][j]);
  }
  return work.map((row) => row.slice(matrix.length));
}

export function compute({ taken, lambda }) {
  const rows = Array.from({ length: USERS + 1 }, (_, user) => taken.slice(user * FILMS, (user + 1) * FILMS).map((one) => (one ? 1 : 0)));
  const [X, x] = [rows.slice(0, USERS), rows[USERS]];
  const films = x.map((_, film) => film);
  const gram = films.map((i) => films.map((j) => sum(X.map((row) => row[i] * row[j]))));
  const P = inverse(gram.map((row, i) => row.map((one, j) => one + (i === j ? lambda : 0))));
  const B = P.map((row, i) => row.map((one, j) => (i === j ? 0 : -one / P[j][j])));
  const product = (matrix) => films.map((j) => sum(films.map((i) => x[i] * matrix[i][j])));
  const [scores, counted] = [product(B), product(gram)];
  const listed = (by) => films.filter((film) => !x[film]).sort((a, b) => by[b] - by[a] || a - b);
  return { X, x, gram, P, B, scores, counted, order: listed(scores), byCounts: listed(counted) };
}

export function draw(picture, values, { words: text }) {
  const { x, B, gram, scores, counted, order, byCounts } = values;
  const summed = (i, j) => (x[i] && !x[j] ? "marked" : "");
  const row = (all) => [all.map((one, film) => (x[film] ? null : one))];
  picture.matrix({ title: text.gram, values: gram, rows: text.columns, columns: text.columns, digits: 0, marked: summed });
  picture.matrix({ title: text.weights, values: B, rows: text.columns, columns: text.columns, most: 1, marked: summed });
  const first = (list) => (_, film) => (film === list[0] ? "marked" : "");
  const list = { rows: [text.user], columns: text.columns };
  picture.matrix({ ...list, title: text.counted, values: row(counted), digits: 0, marked: first(byCounts) });
  picture.matrix({ ...list, title: text.scores, values: row(scores), most: 1, marked: first(order) });
  if (sum(x) % FILMS === 0) {
    picture.say(text.none(sum(x) > 0));
    return;
  }
  picture.say(text.order);
  picture.say(text.list(values), "q");
}
